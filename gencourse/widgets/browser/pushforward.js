// A network from the plane to the plane: where it sends a point, and a cloud of them.
const G = kit.network(kit.given.network);
const real = kit.array(kit.given.data);
const reach = kit.given.reach;
const source = kit.random(1);
const n = kit.given.count;
const noise = Float32Array.from({ length: 2 * n }, source.normal);
const made = new Float32Array(2 * n);
for (let i = 0; i < n; i++) made.set(G(noise.subarray(2 * i, 2 * i + 2)), 2 * i);

const left = kit.plot({ title: "Noise z", label: "Points of noise in the plane, and one that you choose", x: [-3, 3], y: [-3, 3] });
const right = kit.plot({ title: "Samples G(z)", label: "Where the generator sends the noise, over the data", x: [-reach, reach], y: [-reach, reach] });
const z = left.handle({ x: 0.6, y: 0.4, label: "Your point of noise" });
const radius = kit.slider({ label: "Circle around it", min: 0, max: 2, step: 0.05, value: 0.5, format: (v) => v.toFixed(2) });
kit.key([["data", "data", true], ["model", "generated", true], ["accent", "your point, and a circle around it"]]);

kit.onDraw(() => {
  const turn = kit.range(0, 2 * Math.PI, 241);
  const circle = Array.from(turn, (a) => [z.x + radius.value * Math.cos(a), z.y + radius.value * Math.sin(a)]);
  const image = circle.map(G);
  const column = (points, k) => points.map((p) => p[k]);
  left.clear().frame().points(noise, "model").line(column(circle, 0), column(circle, 1), "accent");
  const out = G([z.x, z.y]);
  right.clear().frame().points(real, "data", { alpha: 0.35 }).points(made, "model")
    .line(column(image, 0), column(image, 1), "accent").points(out, "accent", { size: 6, alpha: 1 });
  const long = (points) => points.slice(1).reduce((sum, p, i) => sum + Math.hypot(p[0] - points[i][0], p[1] - points[i][1]), 0);
  const ratio = radius.value > 0 ? `; the circle becomes ${(long(image) / long(circle)).toFixed(1)} times as long` : "";
  kit.report(`z = (${z.x.toFixed(2)}, ${z.y.toFixed(2)}) goes to (${out[0].toFixed(2)}, ${out[1].toFixed(2)})${ratio}.`);
});
