// Langevin dynamics in a mixture of Gaussians, whose score is known.
const { modes, std, reach } = kit.given;
const N = 300;
const density = (x, y) => modes.reduce((sum, [a, b]) => sum + Math.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * std * std)), 0);
const temperature = kit.slider({ label: "Temperature T", min: 0, max: 20, step: 0.1, value: 1, format: (v) => v.toFixed(1) });
const step = kit.slider({ label: "Step size η, in units of σ²", min: 0.01, max: 2.5, step: 0.01, value: 0.2, format: (v) => v.toFixed(2) });
let source, x, steps;
function restart() {
  source = kit.random(3);
  x = Float32Array.from({ length: 2 * N }, () => 0.25 * source.normal());
  steps = 0;
  kit.redraw();
}
const move = () => {
  const eta = step.value * std * std, noise = Math.sqrt(2 * eta * temperature.value);
  for (let i = 0; i < 2 * N; i += 2) {
    // score = Σ w_k (μ_k - x)/σ², with weights from the nearest mode's, so that none underflows
    const squares = modes.map(([a, b]) => (x[i] - a) ** 2 + (x[i + 1] - b) ** 2);
    const least = Math.min(...squares);
    let total = 0, sx = 0, sy = 0;
    modes.forEach(([a, b], k) => {
      const w = Math.exp(-(squares[k] - least) / (2 * std * std));
      total += w; sx += w * (a - x[i]); sy += w * (b - x[i + 1]);
    });
    x[i] += (eta * sx) / (total * std * std) + noise * source.normal();
    x[i + 1] += (eta * sy) / (total * std * std) + noise * source.normal();
    // Steps beyond 2σ² overshoot further each time; such a particle has left the picture for good.
    if (!(Math.hypot(x[i], x[i + 1]) < 1e3)) x[i] = x[i + 1] = 1e3;
  }
  steps += 1;
  kit.redraw();
};
kit.player(move, 20);
kit.button("Ten steps", () => { for (let k = 0; k < 10; k++) move(); });
kit.button("Start again", restart);
const plot = kit.plot({ title: "Particles, started at the centre", label: "Particles over the density of a mixture of Gaussians", x: [-reach, reach], y: [-reach, reach] });
kit.key([["data", "density", true], ["model", "particles", true]]);
const G = 60, at = kit.range(-reach, reach, G);
const shades = Float64Array.from({ length: G * G }, (_, i) => density(at[i % G], at[Math.floor(i / G)]) * 0.8);

kit.onDraw(() => {
  plot.clear().shade(shades, G, G, "data").frame().points(x, "model", { size: 2, alpha: 0.9 });
  const reached = modes.map(([a, b]) => {
    let n = 0;
    for (let i = 0; i < 2 * N; i += 2) if (Math.hypot(x[i] - a, x[i + 1] - b) < 3 * std) n++;
    return n;
  });
  const inside = reached.reduce((a, b) => a + b);
  kit.report(`After ${steps} steps ${Math.round((100 * inside) / N)} % of the particles are within 3σ of a mode; ${reached.filter((n) => n > N / (10 * modes.length)).length} of ${modes.length} modes are reached.`);
});
restart();
