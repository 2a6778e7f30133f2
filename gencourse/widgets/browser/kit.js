// What every demonstration is made of: controls, plots, networks, random numbers. No dependency.
"use strict";

const kit = (() => {
  const given = JSON.parse(document.getElementById("given").textContent);

  // ------------------------------------------------------------------ numbers from Python

  function bytes(base64) {
    return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  }

  /** An array as `exported.array` writes it: float32, or 16-bit steps between two numbers. */
  function array(spec) {
    const raw = bytes(spec.data).buffer;
    if (spec.kind === "float32") return new Float32Array(raw);
    const steps = new Uint16Array(raw), scale = (spec.high - spec.low) / 65535;
    return Float32Array.from(steps, (s) => spec.low + scale * s);
  }

  // ------------------------------------------------------------------ networks

  const ACTIVATIONS = {
    relu: (v) => (v > 0 ? v : 0),
    tanh: Math.tanh,
    sigmoid: (v) => 1 / (1 + Math.exp(-v)),
    silu: (v) => v / (1 + Math.exp(-v)),
    softplus: (v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v))),
  };

  function linear({ weight, bias, inputs, outputs }) {
    return (x) => {
      const y = new Float32Array(outputs);
      for (let o = 0; o < outputs; o++) {
        let sum = bias ? bias[o] : 0;
        for (let i = 0, w = o * inputs; i < inputs; i++) sum += weight[w + i] * x[i];
        y[o] = sum;
      }
      return y;
    };
  }

  /** Transposed convolution of `c` feature maps of `size`²: each pixel adds its kernel. */
  function upsample({ weight, bias, inputs, outputs, size, kernel, stride, padding }) {
    const out = (size - 1) * stride - 2 * padding + kernel;
    return (x) => {
      const y = new Float32Array(outputs * out * out);
      if (bias) for (let o = 0; o < outputs; o++) y.fill(bias[o], o * out * out, (o + 1) * out * out);
      for (let i = 0; i < inputs; i++)
        for (let r = 0; r < size; r++)
          for (let c = 0; c < size; c++) {
            const v = x[(i * size + r) * size + c];
            if (v === 0) continue;
            for (let o = 0; o < outputs; o++)
              for (let a = 0; a < kernel; a++) {
                const row = r * stride - padding + a;
                if (row < 0 || row >= out) continue;
                for (let b = 0; b < kernel; b++) {
                  const column = c * stride - padding + b;
                  if (column < 0 || column >= out) continue;
                  y[(o * out + row) * out + column] +=
                    v * weight[((i * outputs + o) * kernel + a) * kernel + b];
                }
              }
          }
      return y;
    };
  }

  function layer(spec) {
    if (spec.weight) {
      const numbers = { ...spec, weight: array(spec.weight), bias: spec.bias && array(spec.bias) };
      return spec.kind === "linear" ? linear(numbers) : upsample(numbers);
    }
    if (spec.kind === "leaky_relu") return (x) => x.map((v) => (v > 0 ? v : spec.slope * v));
    return (x) => x.map(ACTIVATIONS[spec.kind]);
  }

  /** A function from one input to one output, both flat arrays. */
  function network(specs) {
    const layers = specs.map(layer);
    return (x) => layers.reduce((v, f) => f(v), Float32Array.from(x));
  }

  // ------------------------------------------------------------------ random numbers

  /** mulberry32, so that everybody sees the same draws. */
  function random(seed) {
    let state = seed >>> 0;
    const uniform = () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = state;
      t = Math.imul(t ^ (t >>> 15), t | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
    const normal = () =>
      Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
    return { uniform, normal };
  }

  // ------------------------------------------------------------------ looks

  const root = document.documentElement;

  function colour(name) {
    return getComputedStyle(root).getPropertyValue("--" + name).trim() || name;
  }

  const redraws = [];
  let waiting = false;

  /** Draw everything again, once, before the next frame. */
  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      redraws.forEach((draw) => draw());
      fit();
    });
  }

  /** Call `draw` now and whenever something has changed. */
  function onDraw(draw) {
    redraws.push(draw);
    redraw();
  }

  function fit() {
    const frame = window.frameElement;
    if (!frame) return;
    const height = Math.ceil(document.body.getBoundingClientRect().height) + 2;
    if (Math.abs(frame.clientHeight - height) > 1) frame.style.height = height + "px";
  }

  function followTheme() {
    let outer;
    try {
      outer = window.parent.document.documentElement; // not allowed in some notebooks
    } catch {
      outer = null;
    }
    const asked = matchMedia("(prefers-color-scheme: dark)");
    const apply = () => {
      const theme = outer?.dataset.theme; // of the site; notebooks are light unless they say so
      const jupyter = outer?.ownerDocument.body?.dataset.jpThemeLight;
      const dark = theme ? theme === "dark" : jupyter ? jupyter === "false" : outer ? false : asked.matches;
      root.dataset.theme = dark ? "dark" : "light";
      redraw();
    };
    apply();
    if (outer) new MutationObserver(apply).observe(outer, { attributes: true });
    asked.addEventListener("change", apply);
    addEventListener("resize", redraw);
  }

  // ------------------------------------------------------------------ controls

  const element = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };
  const controls = () => document.getElementById("controls");

  /** A slider; `.value` is its number. `format` says it in words. */
  function slider({ label, min, max, step, value, format = (v) => String(v) }, onInput = redraw) {
    const input = element("input", { type: "range", min, max, step });
    input.value = value;
    const shown = element("output");
    const tell = () => {
      shown.textContent = format(Number(input.value));
      input.setAttribute("aria-valuetext", shown.textContent);
    };
    input.addEventListener("input", () => {
      tell();
      onInput(Number(input.value));
    });
    tell();
    controls().append(element("label", {}, element("span", {}, label + ": ", shown), input));
    return {
      get value() { return Number(input.value); },
      set value(v) { input.value = v; tell(); },
    };
  }

  /** A list of choices; `.value` is the chosen name. */
  function choice({ label, options, value }, onChange = redraw) {
    const select = element("select");
    for (const [name, text] of options) select.append(element("option", { value: name }, text));
    if (value) select.value = value;
    select.addEventListener("change", () => onChange(select.value));
    controls().append(element("label", {}, element("span", {}, label), select));
    return { get value() { return select.value; } };
  }

  function button(label, onClick) {
    const made = element("button", { type: "button", className: "action" }, label);
    made.addEventListener("click", onClick);
    controls().append(made);
    return made;
  }

  /** A button that starts and stops `step`, called `rate` times a second. */
  function player(step, rate = 20) {
    let timer = null;
    const stop = () => {
      clearInterval(timer);
      timer = null;
      made.textContent = "Play";
    };
    const made = button("Play", () => {
      if (timer) return stop();
      made.textContent = "Pause";
      timer = setInterval(() => step() === false && stop(), 1000 / rate);
    });
    return { stop };
  }

  /** Say in words what is to be seen; screen readers read it out. */
  function report(text) {
    const line = document.getElementById("report");
    if (line.textContent !== text) line.textContent = text;
  }

  /** A legend under the plots: pairs of a colour and what it means. */
  function key(entries) {
    const list = element("ul", { className: "key" });
    for (const [name, text, dot] of entries) {
      const mark = element("span", { className: dot ? "dot" : "" });
      mark.style.borderColor = `var(--${name})`;
      if (dot) mark.style.background = `var(--${name})`;
      list.append(element("li", {}, mark, text));
    }
    document.getElementById("plots").after(list);
  }

  // ------------------------------------------------------------------ plots

  /**
   * A plot of the square or strip `x` × `y`. `label` describes it to those who do not see it.
   * Drawing happens in the plot's own coordinates.
   */
  function plot({ title, label, x, y, ratio = 1, ticks = true }) {
    const canvas = element("canvas", { role: "img" });
    canvas.setAttribute("aria-label", label);
    const holder = element("div", { className: "canvas" }, canvas);
    const figure = element("figure", {}, element("figcaption", {}, title), holder);
    document.getElementById("plots").append(figure);
    const pen = canvas.getContext("2d");
    const box = { x, y };
    let width = 0, height = 0;
    const px = (v) => ((v - box.x[0]) / (box.x[1] - box.x[0])) * width;
    const py = (v) => height - ((v - box.y[0]) / (box.y[1] - box.y[0])) * height;

    const self = {
      box, canvas,
      /** Empty the canvas, at the resolution of the screen. */
      clear() {
        width = holder.clientWidth;
        height = Math.round(width * ratio);
        const scale = window.devicePixelRatio || 1;
        canvas.width = Math.round(width * scale);
        canvas.height = Math.round(height * scale);
        canvas.style.height = height + "px";
        pen.setTransform(scale, 0, 0, scale, 0, 0);
        handles.forEach((place) => place());
        return self;
      },
      frame() {
        pen.strokeStyle = colour("line");
        pen.lineWidth = 1;
        pen.strokeRect(0.5, 0.5, width - 1, height - 1);
        if (!ticks) return self;
        pen.fillStyle = colour("muted");
        pen.font = "11px system-ui, sans-serif";
        const round = (v) => String(Math.round(100 * v) / 100);
        for (const [at, align, aside] of [[box.x[0], "left", 3], [box.x[1], "right", -3]]) {
          pen.textAlign = align;
          pen.fillText(round(at), px(at) + aside, height - 4);
        }
        pen.textAlign = "left";
        pen.fillText(round(box.y[1]), 3, 12);
        return self;
      },
      line(xs, ys, name, { dash = [], thick = 2 } = {}) {
        pen.beginPath();
        let down = false;
        for (let i = 0; i < xs.length; i++) {
          if (!Number.isFinite(ys[i])) { down = false; continue; }
          const a = px(xs[i]), b = Math.max(-height, Math.min(2 * height, py(ys[i])));
          down ? pen.lineTo(a, b) : pen.moveTo(a, b);
          down = true;
        }
        pen.setLineDash(dash);
        pen.lineWidth = thick;
        pen.strokeStyle = colour(name);
        pen.stroke();
        pen.setLineDash([]);
        return self;
      },
      /** The area between a curve and 0. */
      area(xs, ys, name, alpha = 0.2) {
        pen.beginPath();
        pen.moveTo(px(xs[0]), py(0));
        for (let i = 0; i < xs.length; i++) pen.lineTo(px(xs[i]), py(ys[i]));
        pen.lineTo(px(xs[xs.length - 1]), py(0));
        pen.globalAlpha = alpha;
        pen.fillStyle = colour(name);
        pen.fill();
        pen.globalAlpha = 1;
        return self;
      },
      /** Points, as one flat array x0, y0, x1, y1, … */
      points(flat, name, { size = 1.6, alpha = 0.7 } = {}) {
        pen.globalAlpha = alpha;
        pen.fillStyle = colour(name);
        for (let i = 0; i + 1 < flat.length; i += 2) {
          pen.beginPath();
          pen.arc(px(flat[i]), py(flat[i + 1]), size, 0, 2 * Math.PI);
          pen.fill();
        }
        pen.globalAlpha = 1;
        return self;
      },
      /** Shades of one colour for values from 0 to 1 on a grid, first row lowest. */
      shade(values, rows, columns, name) {
        const [r, g, b] = rgb(colour(name));
        const image = new ImageData(columns, rows);
        for (let i = 0; i < rows; i++)
          for (let j = 0; j < columns; j++) {
            const at = 4 * ((rows - 1 - i) * columns + j);
            image.data.set([r, g, b, 255 * Math.max(0, Math.min(1, values[i * columns + j]))], at);
          }
        return put(image, true);
      },
      /** A grey picture with values from -1 (ink absent) to 1, first row on top. */
      picture(values, rows, columns) {
        const image = new ImageData(columns, rows);
        for (let i = 0; i < rows * columns; i++) {
          const grey = 127.5 * (1 + Math.max(-1, Math.min(1, values[i])));
          image.data.set([grey, grey, grey, 255], 4 * i);
        }
        return put(image, false);
      },
      text(words, x, y, name = "text", align = "left") {
        pen.fillStyle = colour(name);
        pen.font = "13px system-ui, sans-serif";
        pen.textAlign = align;
        pen.fillText(words, px(x), py(y));
        return self;
      },
      /** A point that can be dragged, or focused and moved with the arrow keys. */
      handle({ x, y, label, name = "accent", step = (box.x[1] - box.x[0]) / 50 }, onMove = redraw) {
        const knob = element("button", { type: "button", className: "handle" });
        knob.style.background = `var(--${name})`;
        holder.append(knob);
        const at = { x, y };
        const place = () => {
          knob.style.left = px(at.x) + "px";
          knob.style.top = py(at.y) + "px";
          knob.setAttribute("aria-label", `${label}, at ${at.x.toFixed(2)}, ${at.y.toFixed(2)}. Arrow keys move it.`);
        };
        handles.push(place);
        const move = (a, b) => {
          at.x = Math.max(box.x[0], Math.min(box.x[1], a));
          at.y = Math.max(box.y[0], Math.min(box.y[1], b));
          place();
          onMove(at);
        };
        knob.addEventListener("pointerdown", (event) => {
          knob.setPointerCapture(event.pointerId);
          knob.focus();
          event.preventDefault();
        });
        knob.addEventListener("pointermove", (event) => {
          if (!knob.hasPointerCapture(event.pointerId)) return;
          const rect = canvas.getBoundingClientRect();
          move(
            box.x[0] + ((event.clientX - rect.left) / rect.width) * (box.x[1] - box.x[0]),
            box.y[1] - ((event.clientY - rect.top) / rect.height) * (box.y[1] - box.y[0])
          );
        });
        const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
        knob.addEventListener("keydown", (event) => {
          const way = ARROWS[event.key];
          if (!way) return;
          event.preventDefault();
          const far = event.shiftKey ? 5 : 1;
          move(at.x + far * step * way[0], at.y + far * step * way[1]);
        });
        return at;
      },
    };
    const handles = [];

    function put(image, smooth) {
      const small = element("canvas", { width: image.width, height: image.height });
      small.getContext("2d").putImageData(image, 0, 0);
      pen.imageSmoothingEnabled = smooth;
      pen.drawImage(small, 0, 0, width, height);
      return self;
    }
    return self;
  }

  function rgb(name) {
    const n = parseInt(name.slice(1), 16);
    return [(n >> 16) & 255, (n >> 8) & 255, n & 255];
  }

  function range(low, high, n) {
    return Float64Array.from({ length: n }, (_, i) => low + ((high - low) * i) / (n - 1));
  }

  addEventListener("DOMContentLoaded", followTheme);
  return { given, array, network, random, slider, choice, button, player, report, key, plot, onDraw, redraw, range };
})();
