// Expectation-maximisation for a mixture of Gaussians in the plane, one step at a time.
const x = kit.array(kit.given.points), n = x.length / 2, { reach } = kit.given;
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#8a8a00"];
const count = kit.slider({ label: "Components K", min: 1, max: 8, step: 1, value: 3 }, () => restart());
const seed = kit.slider({ label: "Start", min: 1, max: 20, step: 1, value: 1, format: (v) => `number ${v}` }, () => restart());
kit.button("One step", () => { step(); kit.redraw(); });
const play = kit.player(() => { step(); kit.redraw(); return steps < 60; }, 6);
const plot = kit.plot({ title: "Points and components (two standard deviations)", label: "Data points in the colour of the likeliest component, with an ellipse for each component", x: [-reach, reach], y: [-reach, reach] });
let parts, r, steps, value;

function restart() {
  play.stop();
  const source = kit.random(seed.value);
  parts = Array.from({ length: count.value }, () => {
    const i = Math.floor(source.uniform() * n);
    return { weight: 1 / count.value, mean: [x[2 * i], x[2 * i + 1]], cov: [1, 0, 1] };
  });
  steps = 0;
  expect();
  kit.redraw();
}

/** E-step: responsibilities in r, by log-sum-exp; the mean log-likelihood in value. */
function expect() {
  r = parts.map(() => new Float64Array(n));
  value = 0;
  for (let i = 0; i < n; i++) {
    const logs = parts.map(({ weight, mean, cov: [a, b, c] }) => {
      const u = x[2 * i] - mean[0], v = x[2 * i + 1] - mean[1], det = a * c - b * b;
      return Math.log(weight) - Math.log(2 * Math.PI) - 0.5 * Math.log(det) - (c * u * u - 2 * b * u * v + a * v * v) / (2 * det);
    });
    const top = Math.max(...logs), sum = logs.reduce((s, l) => s + Math.exp(l - top), 0);
    logs.forEach((l, k) => { r[k][i] = Math.exp(l - top) / sum; });
    value += (top + Math.log(sum)) / n;
  }
}

/** M-step: weighted moments. A little variance is added, so that no component falls on a point. */
function step() {
  parts = parts.map((_, k) => {
    let mass = 1e-12, mx = 0, my = 0;
    for (let i = 0; i < n; i++) { mass += r[k][i]; mx += r[k][i] * x[2 * i]; my += r[k][i] * x[2 * i + 1]; }
    mx /= mass; my /= mass;
    let a = 0, b = 0, c = 0;
    for (let i = 0; i < n; i++) {
      const u = x[2 * i] - mx, v = x[2 * i + 1] - my;
      a += r[k][i] * u * u; b += r[k][i] * u * v; c += r[k][i] * v * v;
    }
    return { weight: mass / n, mean: [mx, my], cov: [a / mass + 1e-4, b / mass, c / mass + 1e-4] };
  });
  steps += 1;
  expect();
}

function ellipse({ mean, cov: [a, b, c] }) {
  const l = Math.sqrt(a), m = b / l, s = Math.sqrt(c - m * m); // Cholesky
  const turn = kit.range(0, 2 * Math.PI, 61);
  return [Array.from(turn, (t) => mean[0] + 2 * l * Math.cos(t)), Array.from(turn, (t) => mean[1] + 2 * (m * Math.cos(t) + s * Math.sin(t)))];
}

kit.onDraw(() => {
  plot.clear().frame();
  parts.forEach((_, k) => {
    const mine = [];
    for (let i = 0; i < n; i++) if (parts.every((_, j) => r[k][i] >= r[j][i])) mine.push(x[2 * i], x[2 * i + 1]);
    plot.points(mine, COLOURS[k], { alpha: 0.6 });
  });
  parts.forEach((part, k) => {
    plot.line(...ellipse(part), COLOURS[k], { thick: 2.5 });
    plot.points(part.mean, COLOURS[k], { size: 5, alpha: 1 });
  });
  kit.report(`Step ${steps}: average log-likelihood ${value.toFixed(4)}.`);
});
restart();
