// Two laws that move apart: what four distances say of it.
const N = 1601, LOW = -8, HIGH = 8;
const xs = kit.range(LOW, HIGH, N), dx = (HIGH - LOW) / (N - 1);
const SHAPES = {
  gauss: (x, s) => Math.exp(-0.5 * (x / s) ** 2) / (s * Math.sqrt(2 * Math.PI)),
  box: (x, s) => (Math.abs(x) <= s ? 1 / (2 * s) : 0),
};
const shape = kit.choice({ label: "Shape", options: [["gauss", "Gaussian"], ["box", "uniform: bounded supports"]] });
const width = kit.slider({ label: "Width", min: 0.1, max: 1, step: 0.05, value: 0.4, format: (v) => v.toFixed(2) });
const left = kit.plot({ title: "p (at 0) and q (drag it)", label: "Two densities on the line", x: [LOW / 2, HIGH / 2], y: [0, 2], ratio: 0.8 });
const right = kit.plot({ title: "Distance against the shift", label: "Total variation, Jensen-Shannon divergence, Kullback-Leibler divergence and Wasserstein distance against the shift", x: [-4, 4], y: [0, 4], ratio: 0.8 });
const knob = left.handle({ x: 1, y: 0.15, label: "The middle of q", name: "model" });
kit.key([["critic", "W1"], ["model", "KL(p‖q)"], ["data", "JS (at most log 2)"], ["accent", "TV (at most 1)"]]);

/** The laws as probabilities on the grid, scaled to sum to one. */
function law(middle) {
  const p = Array.from(xs, (x) => SHAPES[shape.value](x - middle, width.value));
  const sum = p.reduce((a, b) => a + b);
  return p.map((v) => v / sum);
}

const kl = (p, q) => p.reduce((sum, v, i) => sum + (v > 0 ? v * Math.log(v / q[i]) : 0), 0);

function measures(p, q) {
  const m = p.map((v, i) => (v + q[i]) / 2);
  let cumulated = 0, w1 = 0;
  p.forEach((v, i) => { cumulated += v - q[i]; w1 += Math.abs(cumulated) * dx; });
  return {
    tv: p.reduce((sum, v, i) => sum + Math.abs(v - q[i]), 0) / 2,
    js: (kl(p, m) + kl(q, m)) / 2,
    kl: kl(p, q),
    w1,
  };
}

let drawn = null, curves = null; // the curves change with shape and width only
const shifts = kit.range(-4, 4, 81);

kit.onDraw(() => {
  const p = law(0), q = law(knob.x), state = shape.value + width.value;
  if (drawn !== state) {
    curves = Array.from(shifts, (s) => measures(p, law(s)));
    drawn = state;
  }
  const density = (v) => v.map((a) => a / dx);
  left.box.y = [0, Math.max(...density(p)) * 1.25];
  left.clear().frame().area(xs, density(p), "data").area(xs, density(q), "model")
    .line(xs, density(p), "data").line(xs, density(q), "model", { dash: [6, 3] });
  right.clear().frame();
  for (const [name, tint, dash] of [["w1", "critic", []], ["kl", "model", [6, 3]], ["js", "data", [2, 2]], ["tv", "accent", [8, 3, 2, 3]]]) {
    right.line(shifts, curves.map((c) => c[name]), tint, { dash });
  }
  const now = measures(p, q), show = (v) => (Number.isFinite(v) ? v.toFixed(2) : "infinite");
  const y = (v) => (Number.isFinite(v) ? v : 99);
  right.points([knob.x, y(now.w1)], "critic", { size: 5 }).points([knob.x, y(now.kl)], "model", { size: 5 })
    .points([knob.x, y(now.js)], "data", { size: 5 }).points([knob.x, y(now.tv)], "accent", { size: 5 });
  kit.report(`Shift ${knob.x.toFixed(2)}: TV ${show(now.tv)}, JS ${show(now.js)}, KL ${show(now.kl)}, W1 ${show(now.w1)}.`);
});
