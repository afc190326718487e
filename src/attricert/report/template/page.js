"use strict";
(async () => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const block = await unpack(byId("block").textContent);
  document.documentElement.classList.add("scripted");

  const { height, width, gap, scale, panels, eps } = data;
  const PLUS = [178, 24, 43], MINUS = [33, 102, 172], TOP = [0, 0, 0], OPEN = [223, 227, 232];
  const INK = "#1b1f24", QUIET = "#57606a", LINE = "#d0d7de";
  const css = (c) => `rgb(${c.join(",")})`;
  const cells = height * width;
  const slider = byId("size");
  const cards = [...document.querySelectorAll(".input")].map((element, i) => ({
    element, i, canvas: element.querySelector("canvas"), inSight: false, drawn: -1, opened: false,
    numbers: [...element.querySelectorAll(".now [data-number]")], limit: element.querySelector("[data-number=limit]"),
  }));
  if (data.kind === "picture") {
    // Few panels need not fill the page.
    for (const part of document.querySelectorAll(".input canvas, .captions")) part.style.maxWidth = `${14 * panels.length}rem`;
  }
  let at = Number(slider.value);

  async function unpack(text) {
    const raw = atob(text.trim()), packed = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) packed[i] = raw.charCodeAt(i);
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }
  const bytes = ([start, length]) => block.subarray(start, start + length);
  const view = (Kind, place) => new Kind(block.buffer, place[0], place[1] / Kind.BYTES_PER_ELEMENT);
  const part = (array, i, size) => array.subarray(i * size, (i + 1) * size);

  const numbers = data.numbers.map((place) => view(Int16Array, place));
  const limits = view(Uint8Array, data.limits);
  const maps = Object.fromEntries(Object.entries(data.maps).map(([name, place]) => [name, view(Int8Array, place)]));
  const signs = data.signs && view(Int8Array, data.signs);
  const tops = data.tops && view(Uint8Array, data.tops);
  const low = data.low && view(Int16Array, data.low), high = data.high && view(Int16Array, data.high);

  function shown(value) {
    return value === data.nothing ? data.silent : (value / scale).toFixed(3);
  }

  // What is said: texts, all made beforehand.
  function say() {
    byId("eps").textContent = eps[at];
    byId("words").textContent = data.words[at];
    slider.setAttribute("aria-valuetext", `eps ${eps[at]}`);
    data.sets.forEach((set, t) => {
      byId(`observed-${t}`).textContent = set.observed[at];
      if (set.least.length) byId(`least-${t}`).textContent = set.least[at];
    });
    const marker = byId("marker");
    if (marker) {
      const x = data.marker[at];
      marker.setAttribute("x1", x);
      marker.setAttribute("x2", x);
    }
    for (const card of cards) {
      card.numbers.forEach((element, n) => {
        element.textContent = shown(numbers[n][card.i * eps.length + at]);
      });
      card.limit.textContent = data.limitWords[limits[card.i * eps.length + at]];
    }
  }

  // Pictures. The first panels stay; the last two are those of the size that is chosen.
  function signed(value) {
    const ink = value < 0 ? MINUS : PLUS, share = Math.abs(value) / data.shades;
    return ink.map((c) => 255 + (c - 255) * share);
  }
  function paint(context, panel, colour) {
    const image = context.createImageData(width, height);
    for (let c = 0; c < cells; c++) {
      const [r, g, b] = colour(c);
      image.data.set([r, g, b, 255], 4 * c);
    }
    context.putImageData(image, panel * (width + gap), 0);
  }
  const bitmaps = data.images.map(() => null), decoding = data.images.map(() => null);
  function decoded(i) {
    decoding[i] ||= createImageBitmap(new Blob([bytes(data.images[i])])).then((bitmap) => { bitmaps[i] = bitmap; });
    return decoding[i];
  }
  function openPicture(card) {
    const { canvas, i } = card, context = canvas.getContext("2d", { willReadFrequently: true });
    card.opened = !data.images.length || bitmaps[i] !== null;
    canvas.width = panels.length * width + (panels.length - 1) * gap;
    canvas.height = height;
    card.base = new Uint8ClampedArray(cells).fill(OPEN[0]);
    for (const [p, panel] of panels.entries()) {
      if (panel === "image" && bitmaps[i]) {
        context.drawImage(bitmaps[i], p * (width + gap), 0, width, height);
        const seen = context.getImageData(p * (width + gap), 0, width, height).data;
        for (let c = 0; c < cells; c++) {
          card.base[c] = 255 - 0.15 * (255 - (seen[4 * c] + seen[4 * c + 1] + seen[4 * c + 2]) / 3);
        }
      } else if (maps[panel]) {
        const map = part(maps[panel], i, cells);
        paint(context, p, (c) => signed(map[c]));
      }
    }
    card.context = context;
  }
  function drawPicture(card) {
    if (!card.opened) openPicture(card);
    const sign = signs && part(signs, card.i, cells), top = tops && part(tops, card.i, cells);
    for (const [p, panel] of panels.entries()) {
      const plain = (c) => [card.base[c], card.base[c], card.base[c]];
      if (panel === "signs") paint(card.context, p, (c) => (Math.abs(sign[c]) <= at ? plain(c) : sign[c] < 0 ? MINUS : PLUS));
      if (panel === "top") paint(card.context, p, (c) => (top[c] <= at ? plain(c) : TOP));
    }
  }

  // Entries in rows: the smoothed value, and the interval that is certain at the size that is chosen.
  function sharp(canvas, wide, tall) {
    const ratio = Math.min(window.devicePixelRatio || 1, 3);
    canvas.width = Math.round(wide * ratio);
    canvas.height = Math.round(tall * ratio);
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.font = "12px system-ui, 'Liberation Sans', Arial, sans-serif";
    return context;
  }
  function cell(card, c) {
    const map = part(maps.smoothed, card.i, cells)[c] / 127, offset = (card.i * eps.length + at) * cells + c;
    const sign = signs ? part(signs, card.i, cells)[c] : 0;
    return {
      map, low: low ? (2 * low[offset]) / 32767 : map, high: high ? (2 * high[offset]) / 32767 : map,
      colour: Math.abs(sign) > at ? css(sign < 0 ? MINUS : PLUS) : "#aeb6bf",
      top: tops !== undefined && tops !== null && part(tops, card.i, cells)[c] > at,
    };
  }
  function reach(card) {
    // Of the axis: what is shown at the smallest size fits, wider intervals are cut at its ends.
    let most = 0;
    for (let c = 0; c < cells; c++) most = Math.max(most, Math.abs(part(maps.smoothed, card.i, cells)[c]) / 127);
    return 1.6 * (most || 1);
  }
  function drawTable(card) {
    card.opened = true;
    const row = 20, names = 150, wide = Math.max(card.canvas.clientWidth || 480, 280), tall = cells * row + 22;
    const context = sharp(card.canvas, wide, tall), end = reach(card), middle = names + (wide - names) / 2;
    const x = (value) => middle + (Math.max(-end, Math.min(end, value)) / end) * ((wide - names) / 2 - 4);
    context.strokeStyle = LINE;
    context.beginPath(); context.moveTo(middle, 0); context.lineTo(middle, tall - 20); context.stroke();
    for (let c = 0; c < cells; c++) {
      const { map, low: least, high: most, colour, top } = cell(card, c), y = c * row + row / 2;
      context.fillStyle = INK;
      context.fillText(data.names[c], 0, y + 4, names - 18);
      if (top) { context.fillStyle = css(TOP); context.fillText("★", names - 14, y + 4); }
      context.fillStyle = colour;
      context.fillRect(Math.min(x(0), x(map)), y - 6, Math.abs(x(map) - x(0)), 12);
      context.strokeStyle = INK;
      context.beginPath();
      context.moveTo(x(least), y); context.lineTo(x(most), y);
      for (const e of [least, most]) if (Math.abs(e) <= end) { context.moveTo(x(e), y - 4); context.lineTo(x(e), y + 4); }
      context.stroke();
    }
    context.fillStyle = QUIET;
    context.fillText("bar: smoothed value; line: where it is certain to lie at every change of this size", 0, tall - 5, wide);
  }
  function drawSeries(card) {
    card.opened = true;
    const tall = 90, names = height > 1 ? 70 : 0, wide = Math.max(card.canvas.clientWidth || 480, 280);
    const context = sharp(card.canvas, wide, height * tall), end = reach(card), step = (wide - names) / width;
    for (let row = 0; row < height; row++) {
      const middle = row * tall + tall / 2, y = (value) => middle - (Math.max(-end, Math.min(end, value)) / end) * (tall / 2 - 4);
      if (names) { context.fillStyle = INK; context.fillText(data.names[row] || "", 0, middle + 4, names - 6); }
      for (let t = 0; t < width; t++) {
        const { map, low: least, high: most, colour, top } = cell(card, row * width + t), x = names + t * step;
        context.fillStyle = "#e6e9ed";
        context.fillRect(x, y(most), Math.max(step, 1), Math.max(y(least) - y(most), 1));
        context.fillStyle = colour;
        context.fillRect(x, Math.min(y(0), y(map)), Math.max(step * 0.8, 1), Math.max(Math.abs(y(map) - y(0)), 1));
        if (top) { context.fillStyle = css(TOP); context.fillRect(x, row * tall, Math.max(step * 0.8, 1), 3); }
      }
      context.strokeStyle = LINE;
      context.beginPath(); context.moveTo(names, middle); context.lineTo(wide, middle); context.stroke();
      if (maps.image) {
        const line = part(maps.image, card.i, cells);
        context.strokeStyle = QUIET;
        context.beginPath();
        for (let t = 0; t < width; t++) {
          const point = [names + (t + 0.5) * step, middle - (line[row * width + t] / 127) * (tall / 2 - 6)];
          if (t) context.lineTo(...point); else context.moveTo(...point);
        }
        context.stroke();
      }
    }
  }
  const draw = { picture: drawPicture, table: drawTable, series: drawSeries }[data.kind];

  function drawNow(card) {
    if (!card.canvas || (card.opened && card.drawn === at)) return;
    card.drawn = at;
    draw(card);
  }
  async function show(card) {
    if (data.images.length) await decoded(card.i);
    drawNow(card);
  }

  // A random change of the size that is chosen, on the first input.
  async function openSample(canvas) {
    const context = canvas.getContext("2d", { willReadFrequently: true });
    canvas.width = 2 * width + gap;
    canvas.height = height;
    await decoded(0);
    context.drawImage(bitmaps[0], 0, 0, width, height);
    const clean = context.getImageData(0, 0, width, height).data, noise = view(Int8Array, data.noise);
    return () => {
      const image = context.createImageData(width, height), size = data.rms[at] / data.noiseRms;
      for (let c = 0; c < 4 * cells; c++) {
        const n = noise[data.channels === 1 ? c >> 2 : 3 * (c >> 2) + (c & 3)];
        image.data[c] = (c & 3) === 3 ? 255 : Math.round(clean[c] + size * n);
      }
      context.putImageData(image, width + gap, 0);
    };
  }
  const sample = byId("sample"), drawSample = sample ? await openSample(sample) : () => {};

  function update() {
    at = Number(slider.value);
    say();
    drawSample();
    return Promise.all(cards.filter((card) => card.inSight).map(show));
  }
  slider.addEventListener("input", update);
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const card = cards[Number(entry.target.dataset.input)];
      card.inSight = entry.isIntersecting;
      if (card.inSight) show(card);
    }
  }, { rootMargin: "300px" });
  cards.forEach((card) => watch.observe(card.element));
  // Printers do not wait: what is decoded by then is drawn at once.
  window.addEventListener("beforeprint", () => cards.forEach(drawNow));
  window.addEventListener("resize", () => {
    if (data.kind === "picture") return;
    cards.forEach((card) => { card.drawn = -1; });
    cards.filter((card) => card.inSight).forEach(show);
  });
  await update();
  document.documentElement.dataset.ready = "yes";
  for (const i of data.images.keys()) await decoded(i);
  document.documentElement.dataset.printable = "yes";
})();
