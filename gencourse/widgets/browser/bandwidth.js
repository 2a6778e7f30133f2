// A kernel estimate on the line, and what held-out points think of its bandwidth.
const train = kit.array(kit.given.train), test = kit.array(kit.given.test);
const { grid, truth, low, high } = kit.given;
const h = kit.slider({ label: "Bandwidth h", min: -2.2, max: 0.5, step: 0.02, value: -0.4, format: (v) => (10 ** v).toFixed(3) });
const left = kit.plot({ title: "Estimate, and the true density", label: "The kernel estimate and the true density", x: [low, high], y: [0, Math.max(...truth) * 1.6], ratio: 0.8 });
const right = kit.plot({ title: "Average log-likelihood against log₁₀ h", label: "Average log-likelihood of training and of held-out points against the bandwidth", x: [-2.2, 0.5], y: [-4, 2], ratio: 0.8 });
kit.key([["data", "true density"], ["model", "estimate"], ["critic", "held-out points"], ["accent", "the points it was made from"]]);

function estimate(x, width) {
  let sum = 0;
  for (const a of train) sum += Math.exp(-0.5 * ((x - a) / width) ** 2);
  return sum / (train.length * width * Math.sqrt(2 * Math.PI));
}
const likelihood = (points, width) => points.reduce((sum, x) => sum + Math.log(estimate(x, width) + 1e-300), 0) / points.length;
const widths = kit.range(-2.2, 0.5, 55);
const onTest = Array.from(widths, (v) => likelihood(test, 10 ** v)), onTrain = Array.from(widths, (v) => likelihood(train, 10 ** v));
right.box.y = [Math.max(...onTest) - 1.5, Math.max(...onTrain) + 0.2];
const best = widths[onTest.indexOf(Math.max(...onTest))];

kit.onDraw(() => {
  const width = 10 ** h.value;
  left.clear().frame().area(grid, truth, "data", 0.15).line(grid, truth, "data").line(grid, grid.map((x) => estimate(x, width)), "model");
  left.points(Array.from(train, (x) => [x, left.box.y[1] * 0.02]).flat(), "accent", { alpha: 0.6 });
  const now = likelihood(test, width);
  right.clear().frame().line(widths, onTrain, "accent", { dash: [6, 3] }).line(widths, onTest, "critic").points([h.value, now], "critic", { size: 5, alpha: 1 });
  kit.report(`h = ${width.toFixed(3)}: ${now.toFixed(2)} nats for a held-out point; the best is ${Math.max(...onTest).toFixed(2)}, at h = ${(10 ** best).toFixed(2)}. On its own points the estimate looks better the narrower it is.`);
});
