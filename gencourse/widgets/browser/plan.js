// The cheapest way to match some places with as many others; both can be dragged.
const reach = 3;
const power = kit.slider({ label: "Cost: distance to the power p", min: 0.5, max: 4, step: 0.25, value: 1, format: (v) => `p = ${v}` });
const mode = kit.choice({ label: "Lines", options: [["best", "the cheapest plan"], ["near", "each to its nearest, wherever that is"]] });
const plot = kit.plot({ title: "Drag bakeries and cafés", label: "Bakeries and cafés in the plane, joined by the plan", x: [-reach, reach], y: [-reach, reach], ticks: false });
const place = (kind, name) => (at, i) => plot.handle({ x: at[0], y: at[1], label: `${kind} ${i + 1}`, name });
const from = kit.given.sources.map(place("Bakery", "data"));
const to = kit.given.targets.map(place("Café", "model"));
kit.key([["data", "bakeries", true], ["model", "cafés", true]]);

const cost = (a, b) => Math.hypot(a.x - b.x, a.y - b.y) ** power.value;

/**
 * Shortest augmenting paths with prices (Kuhn 1955, Munkres 1957): `u` and `v` stay a solution
 * of the dual problem, u[i] + v[j] ≤ c[i][j], with equality where i is matched with j.
 */
function assign(c) {
  const n = c.length, u = Array(n + 1).fill(0), v = Array(n + 1).fill(0);
  const match = Array(n + 1).fill(0); // of each target, counted from 1
  for (let i = 1; i <= n; i++) {
    match[0] = i;
    const least = Array(n + 1).fill(Infinity), way = Array(n + 1).fill(0), done = Array(n + 1).fill(false);
    let j = 0;
    do {
      done[j] = true;
      const row = match[j];
      let delta = Infinity, next = 0;
      for (let k = 1; k <= n; k++) {
        if (done[k]) continue;
        const reduced = c[row - 1][k - 1] - u[row] - v[k];
        if (reduced < least[k]) { least[k] = reduced; way[k] = j; }
        if (least[k] < delta) { delta = least[k]; next = k; }
      }
      for (let k = 0; k <= n; k++) {
        if (done[k]) { u[match[k]] += delta; v[k] -= delta; } else least[k] -= delta;
      }
      j = next;
    } while (match[j] !== 0);
    while (j) { const before = way[j]; match[j] = match[before]; j = before; }
  }
  const plan = Array(n);
  for (let k = 1; k <= n; k++) plan[match[k] - 1] = k - 1;
  const prices = u.slice(1).reduce((a, b) => a + b) + v.slice(1).reduce((a, b) => a + b);
  return { plan, prices };
}

kit.onDraw(() => {
  const c = from.map((a) => to.map((b) => cost(a, b)));
  const { plan, prices } = assign(c);
  const shown = mode.value === "best" ? plan : c.map((row) => row.indexOf(Math.min(...row)));
  plot.clear().frame();
  shown.forEach((j, i) => plot.line([from[i].x, to[j].x], [from[i].y, to[j].y], "muted", { thick: 2 }));
  const total = plan.reduce((sum, j, i) => sum + c[i][j], 0);
  const free = c.reduce((sum, row) => sum + Math.min(...row), 0);
  const crossings = shown.length - new Set(shown).size;
  kit.report(
    `Cheapest plan ${total.toFixed(2)}; the best prices promise ${prices.toFixed(2)}, the same. ` +
    (mode.value === "best" ? "" : `Each to its nearest would cost ${free.toFixed(2)}, and leave ${crossings} café${crossings === 1 ? "" : "s"} without bread.`)
  );
});
