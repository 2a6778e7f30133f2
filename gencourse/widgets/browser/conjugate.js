// A convex function and its Fenchel conjugate: f*(t) is how far the line t·u rises above f.
const table = kit.given.table;
const names = Object.keys(table);
const pick = kit.choice({ label: "Divergence", options: names.map((n) => [n, table[n].title]) });
const slope = kit.slider({ label: "u, a ratio of densities", min: 0.05, max: 4, step: 0.01, value: 1.6, format: (v) => v.toFixed(2) });
const left = kit.plot({ title: "f(u), and its tangent", label: "The convex function f and its tangent at u", x: [-0.5, 4], y: [-2, 4] });
const right = kit.plot({ title: "Its conjugate f*(t)", label: "The conjugate of f, with the slope t of the tangent marked", x: [-3, 3], y: [-3, 4] });
kit.key([["data", "f and f*"], ["model", "tangent, of slope t = f′(u)"], ["critic", "its height at 0: −f*(t)"]]);

/** The value of a curve, given at sorted places, between two of them. */
function value(xs, ys, x) {
  let i = xs.findIndex((v) => v >= x);
  if (i < 0) return NaN;
  if (i === 0) return xs[0] === x ? ys[0] : NaN;
  const share = (x - xs[i - 1]) / (xs[i] - xs[i - 1]);
  return ys[i - 1] + share * (ys[i] - ys[i - 1]);
}

kit.onDraw(() => {
  const f = table[pick.value];
  const u = slope.value, y = value(f.u, f.f, u), t = value(f.u, f.slope, u);
  const conjugate = t * u - y; // where the supremum over u is reached
  left.clear().frame().line([-0.5, 4], [0, 0], "line", { thick: 1 }).line([0, 0], [-2, 4], "line", { thick: 1 })
    .line(f.u, f.f, "data").line([-0.5, 4], [y + t * (-0.5 - u), y + t * (4 - u)], "model", { dash: [6, 3] })
    .points([u, y], "model", { size: 5, alpha: 1 }).points([0, -conjugate], "critic", { size: 6, alpha: 1 });
  right.clear().frame().line([-3, 3], [0, 0], "line", { thick: 1 }).line([0, 0], [-3, 4], "line", { thick: 1 })
    .line(f.t, f.conjugate, "data").points([t, conjugate], "critic", { size: 6, alpha: 1 })
    .line([t, t], [-3, conjugate], "model", { dash: [6, 3], thick: 1 });
  kit.report(`At u = ${u.toFixed(2)}: f = ${y.toFixed(2)}, t = f′ = ${t.toFixed(2)}, f* = t·u − f = ${conjugate.toFixed(2)}. A critic lies ${f.domain}.`);
});
