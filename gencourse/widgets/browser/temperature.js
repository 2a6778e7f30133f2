// A density at other temperatures: p^(1/T), scaled to have mass one again.
const { n, reach } = kit.given;
const energy = kit.array(kit.given.energy);
const cold = Math.min(...energy), cell = (2 * reach / n) ** 2;
const T = kit.slider({ label: "Temperature T", min: -1, max: 1.5, step: 0.02, value: 0, format: (v) => (10 ** v).toFixed(2) });
const plot = kit.plot({ title: "Density ∝ exp(−E/T)", label: "Shades of the density at the chosen temperature", x: [-reach, reach], y: [-reach, reach] });

kit.onDraw(() => {
  const t = 10 ** T.value;
  const weight = energy.map((e) => Math.exp(-(e - cold) / t));
  const total = weight.reduce((a, b) => a + b);
  let entropy = 0;
  weight.forEach((w) => { if (w > 0) entropy -= (w / total) * Math.log(w / total / cell); });
  plot.clear().shade(weight.map((w) => 0.95 * w), n, n, "model").frame();
  const logZ = Math.log(total * cell) - cold / t;
  kit.report(`T = ${t.toFixed(2)}: entropy ${entropy.toFixed(2)} nats, log Z = ${logZ.toFixed(2)}.`);
});
