// The plane of codes of an autoencoder: the picture that each point decodes to.
const decode = kit.network(kit.given.network);
const codes = kit.array(kit.given.codes);
const { labels, size, reach } = kit.given;
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#8a8a00", "#a0522d", "#6c757d"];

const left = kit.plot({ title: "Codes of the data, and yours", label: "The plane of codes; each class of images has a colour and its number stands at its middle", x: [-reach, reach], y: [-reach, reach] });
const right = kit.plot({ title: "What your code decodes to", label: "The decoded picture", x: [0, 1], y: [0, 1], ticks: false });
const z = left.handle({ x: 0, y: 0, label: "Your code" });

const classes = [...new Set(labels)].sort((a, b) => a - b);
const groups = classes.map((c) => {
  const flat = [];
  labels.forEach((label, i) => label === c && flat.push(codes[2 * i], codes[2 * i + 1]));
  const middle = [0, 1].map((k) => {
    const sorted = flat.filter((_, i) => i % 2 === k).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)];
  });
  return { flat, middle };
});

kit.onDraw(() => {
  left.clear().frame();
  groups.forEach(({ flat }, c) => left.points(flat, COLOURS[c % 10], { alpha: 0.55 }));
  groups.forEach(({ middle }, c) => left.text(String(classes[c]), middle[0], middle[1], "text", "center"));
  right.clear().picture(decode([z.x, z.y]), size, size).frame();
  let nearest = 0, best = Infinity;
  for (let i = 0; i < labels.length; i++) {
    const d = Math.hypot(codes[2 * i] - z.x, codes[2 * i + 1] - z.y);
    if (d < best) [best, nearest] = [d, i];
  }
  kit.report(`Code (${z.x.toFixed(2)}, ${z.y.toFixed(2)}). The nearest code of a real image is ${best.toFixed(2)} away, that of a ${labels[nearest]}.`);
});
