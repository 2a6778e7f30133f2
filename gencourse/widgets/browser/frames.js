// Particles on their way: positions at a number of moments, and what lies between.
const { moments, grid, size, reach, words } = kit.given;
const frames = moments.map((_, t) => kit.array(kit.given.frames[t]));
const behind = kit.given.behind && kit.array(kit.given.behind);
const last = moments.length - 1;

const at = kit.slider({ label: words.slider, min: 0, max: last, step: grid ? 0.1 : 0.25, value: words.start ?? 0, format: (v) => moments[Math.round(v)] });
kit.player(() => {
  if (at.value >= last) at.value = 0;
  else at.value = Math.min(last, at.value + (grid ? 0.1 : 0.25));
  kit.redraw();
  return at.value < last;
}, 20);
const plot = kit.plot({ title: words.title, label: words.label, x: [-reach, reach], y: [-reach, reach] });
kit.key([...(behind ? [["data", words.behind, true]] : []), ["model", words.particles, true]]);

/** Positions at a moment between two frames. */
function between(t) {
  const low = Math.floor(t), high = Math.min(low + 1, last), share = t - low;
  return frames[low].map((v, i) => v + share * (frames[high][i] - v));
}

kit.onDraw(() => {
  const now = between(at.value);
  plot.clear().frame();
  if (behind) plot.points(behind, "data", { alpha: 0.35 });
  if (grid) {
    // The first grid² positions are knots of a net; the rest are particles.
    const knot = (i, j, k) => now[2 * (i * grid + j) + k];
    for (let i = 0; i < grid; i++)
      for (const way of [(j, k) => knot(i, j, k), (j, k) => knot(j, i, k)]) {
        const line = Array.from({ length: grid }, (_, j) => j);
        plot.line(line.map((j) => way(j, 0)), line.map((j) => way(j, 1)), "muted", { thick: 0.8 });
      }
  }
  plot.points(now.subarray(grid ? 2 * grid * grid : 0), "model", { size });
  kit.report(`${words.slider}: ${moments[Math.round(at.value)]}.`);
});
