// The explorer's page: choices, requests, pictures. No library, no build step.
"use strict";
const $ = (id) => document.getElementById(id);
const createElement = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const CLASS_COLOURS = ["#2f6fd0", "#c2571a", "#2b8a5a", "#8450c4", "#b03060", "#7a6a10", "#1888a0", "#6a7280", "#c04fb0", "#5a8f1f"];
const RAMP = ["#2f6fd0", "#8450c4", "#b03060", "#c2571a"]; // of numbers, small to large
const SCORES = { split: "split", mse: "error (mse per pixel)", distance: "outlier score (distance)", rate: "rate (KL, nats)", distortion: "distortion (reconstruction, nats)", excess: "excess distortion (nats)" };
const MAX_SHEET = 48; // thumbnails of a selection
const darkScheme = matchMedia("(prefers-color-scheme: dark)");
const page = { runs: [], active: 0, beside: null, input: null, z: {}, means: {}, cond: {}, labels: {}, ends: [null, null], map: null, point: null, hovered: null, selection: new Set(), thumbnails: new Map() };
const activeRun = () => page.runs[page.active];
const showStatus = (text) => { $("status").textContent = text; };

// ---- requests; without a server the page shows a warning and tries again
class RequestRefused extends Error {}
let timer = null; // of the next attempt to reach the server
async function sendRequest(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ beta: page.runs[body.run]?.betas?.now, ...body }) };
  let response;
  try {
    response = await fetch(path, options);
  } catch (problem) {
    reportLostServer("The server does not answer. Start `latentia explore` again; this page then continues by itself.");
    throw problem;
  }
  if (response.status === 401) reportLostServer("The server needs its token; open the address that it printed.");
  if (!response.ok) {
    const { detail } = await response.json().catch(() => ({ detail: `The server failed (${response.status}).` }));
    throw new RequestRefused(detail);
  }
  return response;
}
const requestJson = async (path, body) => (await sendRequest(path, body)).json();
function reportLostServer(text) {
  $("down").textContent = text;
  $("down").hidden = false;
  timer ??= setTimeout(async function reconnect() {
    const response = await fetch("api/runs").catch(() => null);
    if (!response?.ok) { timer = setTimeout(reconnect, 1000); return; } // one request at a time
    timer = null;
    await refreshRuns();
    if (timer !== null) return; // lost again meanwhile
    $("down").hidden = true;
    showStatus("The server is back.");
  }, 1000);
}
// Returns the task with its refusals shown on the page; reportLostServer() shows a lost server.
const showRefusals = (task) => async (...values) => {
  try {
    return await task(...values);
  } catch (problem) {
    if (problem instanceof RequestRefused) showStatus(problem.message);
    else if (!(problem instanceof TypeError) || $("down").hidden) throw problem;
  }
};
// Returns the task with one call at a time; of calls that come meanwhile only the latest runs.
function runLatest(task) {
  let busy = false, next = null;
  return async function run(...values) {
    if (busy) { next = values; return; }
    busy = true;
    await showRefusals(task)(...values).finally(() => { busy = false; });
    if (next) { const latest = next; next = null; run(...latest); }
  };
}

// ---- pictures: a figure keeps the request of its picture, for its command and its files
function addActions(figure, kinds, name) {
  const bar = figure.querySelector(".actions");
  if (bar.children.length) return;
  bar.append(createElement("button", { type: "button", className: "copy", textContent: "Copy the command", onclick: showRefusals(async () => copyCommand(figure)) }));
  for (const kind of kinds)
    bar.append(createElement("button", { type: "button", className: `save${kind}`, textContent: `Save ${kind.slice(1).toUpperCase()}`, ariaLabel: `Save the ${name} as ${kind.slice(1)}`, onclick: showRefusals(async () => savePicture(figure, kind, name)) }));
  if (figure.dataset.latents !== undefined)
    bar.append(createElement("button", { type: "button", className: "save-latents", textContent: "Save latents", onclick: () => saveLatents(figure) }));
}
function setRequest(figure, path, body, reply) {
  figure.request = { path, body };
  figure.dataset.command = reply["command.png"];
}
async function copyCommand(figure) {
  const text = figure.dataset.command;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.body.appendChild(createElement("textarea", { value: text, className: "hidden" }));
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  showStatus(`Copied: ${text.length > 180 ? `${text.slice(0, 180)}…` : text}`);
}
function downloadBlob(blob, name) {
  const link = createElement("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  showStatus(`Saved ${name}.`);
}
async function savePicture(figure, kind, name) {
  const { path, body } = figure.request;
  downloadBlob(await (await sendRequest(path, { ...body, file: kind })).blob(), `${name}${kind}`);
}
function saveLatents(figure) {
  const { body } = figure.request;
  downloadBlob(new Blob([JSON.stringify({ latents: body.latents })], { type: "application/json" }), "latents.json");
}
const createImage = (src, alt) => createElement("img", { src, alt });

// ---- the large pictures, one for each run
const decoders = {};
function updatePictures() {
  const indices = [page.active, ...(page.beside === null ? [] : [page.beside])];
  $("top").classList.toggle("double", indices.length > 1);
  $("pictures").replaceChildren(...indices.map((k) => {
    const run = page.runs[k], old = $(`picture-${k}`);
    if (old?.querySelector("b").textContent === run.name) return old; // with its picture
    const caption = createElement("figcaption", {}, createElement("b", { textContent: run.name }), createElement("span", {}));
    const figure = createElement("figure", { id: `picture-${k}` }, createElement("img", { alt: `picture decoded by ${run.name}`, hidden: true }), caption, createElement("div", { className: "actions" }));
    const [, h, w] = run.shape;
    figure.querySelector("img").style.aspectRatio = `${w} / ${h}`;
    if (run.latent === null) caption.lastChild.textContent = ` has no encoder: it only draws images.`;
    else { figure.dataset.latents = ""; addActions(figure, [".png"], "picture"); }
    return figure;
  }));
}
function showDecoded(k = page.active) {
  decoders[k] ??= runLatest(async () => {
    const body = { run: k, latents: [page.z[k]], cond: page.cond[k] };
    const reply = await requestJson("api/decode", body), figure = $(`picture-${k}`);
    if (!figure) return;
    const image = figure.querySelector("img");
    image.src = reply.images[0];
    image.hidden = false;
    setRequest(figure, "api/decode", body, reply);
    figure.querySelector("figcaption span").textContent = areEqual(page.z[k], page.means[k]) ? ` decodes ${describeInput()}${page.cond[k] === page.labels[k] ? "" : ` with ${page.runs[k].prior.column} ${page.cond[k]}`}` : k === page.active ? " decodes these latents" : "";
  });
  if (page.z[k]) decoders[k]();
}
const areEqual = (a, b) => a && b && a.every((value, k) => value === b[k]);
const describeInput = () => !page.input ? "the zero vector" : page.input.file ? page.input.name : page.imageName;

// ---- sliders
function updateSliders() {
  const run = activeRun(), live = run.dims.filter((dim) => !dim.dead), dead = run.dims.filter((dim) => dim.dead);
  const hasRates = run.dims.some((dim) => dim.rate !== null), rest = run.latent - run.dims.length;
  $("about-latents").textContent = (hasRates ? "Sorted by rate (KL), largest first." : "Not sorted: the rate (KL) is unknown without the images.")
    + (run.ranged ? " Grey: distribution of the training images." : " Grey: N(0, 1).") + (rest ? ` The ${rest} of lowest rate have no slider.` : "");
  $("sliders").replaceChildren(...live.map(createSlider));
  $("dead").hidden = !dead.length;
  $("dead").open = !live.length;
  $("dead").querySelector("summary").textContent = `${dead.length} inactive ${dead.length > 1 ? "dimensions" : "dimension"} (rate below 0.01 nats)`;
  $("dead").querySelector("div").replaceChildren(...dead.map(createSlider));
}
function createSlider(dim) {
  const bins = dim.bars.length, value = createElement("output");
  const outline = dim.bars.map((bar, k) => `L${k} ${1 - bar}L${k + 1} ${1 - bar}`).join("");
  const track = createElement("div", { className: "track" });
  track.innerHTML = `<svg viewBox="0 0 ${bins} 1" preserveAspectRatio="none" aria-hidden="true"><path d="M0 1${outline}L${bins} 1Z"/><line y1="0" y2="1" x1="-9" x2="-9" hidden/></svg>`;
  const input = createElement("input", { type: "range", min: dim.low, max: dim.high, step: 0.01, ariaLabel: `latent ${dim.name}${dim.rate === null ? "" : `, ${dim.rate} nats`}` });
  input.dataset.dim = dim.dim;
  input.oninput = () => { page.z[page.active][dim.dim] = +input.value; value.textContent = formatSigned(+input.value); showDecoded(); scheduleDrawing(); };
  track.append(input);
  const head = createElement("div", { className: "head" }, createElement("b", { textContent: `z ${dim.name}` }), createElement("span", { textContent: dim.rate === null ? "" : `${dim.rate.toFixed(2)} nats` }), value);
  const element = createElement("div", { className: "slider" }, head, track);
  element.update = () => {
    const z = page.z[page.active]?.[dim.dim] ?? 0, mean = page.means[page.active]?.[dim.dim], line = track.querySelector("line");
    input.value = z;
    value.textContent = formatSigned(z);
    const x = mean === undefined ? -9 : Math.min(1, Math.max(0, (mean - dim.low) / (dim.high - dim.low))) * bins;
    line.setAttribute("x1", x); line.setAttribute("x2", x);
    line.toggleAttribute("hidden", mean === undefined);
  };
  element.update();
  return element;
}
const formatSigned = (x) => `${x < 0 ? "−" : "+"}${Math.abs(x).toFixed(2)}`;
const moveSliders = () => { for (const slider of document.querySelectorAll(".slider")) slider.update(); };
function setLatents(z) { page.z[page.active] = [...z]; moveSliders(); showDecoded(); scheduleDrawing(); }

// ---- beta of a run that was trained for a range of betas
const readBeta = () => Math.min(activeRun().betas.high, Math.max(activeRun().betas.low, +(10 ** +$("beta").value).toPrecision(3)));
function updateBeta() {
  const { betas } = activeRun();
  $("beta-label").hidden = !betas;
  if (!betas) return;
  Object.assign($("beta"), { min: Math.log10(betas.low), max: Math.log10(betas.high), value: Math.log10(betas.now) });
  $("beta-now").textContent = `${betas.now}`;
}
const changeBeta = runLatest(async (read) => { // read: the slider was let go, so the images are encoded again
  const run = activeRun();
  run.betas.now = readBeta();
  if (run.state === "ready") { run.state = "reading"; updateLayout(); }
  await drawSamples();
  if (page.input?.file || page.input?.index !== undefined) await chooseImage(page.input); else showDecoded();
  if (read) refreshRuns();
});

// ---- the label with which a conditional VAE decodes: at first that of the image
const takeLabel = (k, label) => { page.cond[k] = page.labels[k] = label ?? page.runs[k].prior.typical; updateLabel(); };
function updateLabel() {
  const { learned, condition, column, classes } = activeRun().prior, hasLabel = !learned && Boolean(condition), k = page.active;
  $("decode-label").hidden = !hasLabel;
  if (!hasLabel) return;
  const field = condition === "class" ? createElement("select") : createElement("input", { type: "number", step: "any" });
  if (condition === "class") fillSelect(field, classes.map((name) => [name, name]));
  field.value = page.cond[k];
  field.onchange = () => { page.cond[k] = field.value || page.labels[k]; field.value = page.cond[k]; showDecoded(); };
  $("decode-label").replaceChildren(`Decode with ${column} `, field);
}

// ---- the input image
const chooseImage = runLatest(async (input) => {
  const run = activeRun(), active = page.active, image = input;
  const result = await requestJson("api/encode", { run: active, image });
  if (active !== page.active) return; // another run meanwhile, which chooses an image itself
  page.input = input;
  page.imageName = result.name;
  page.means = { [page.active]: result.latents };
  page.z[page.active] = [...result.latents];
  takeLabel(active, result.cond);
  $("original").src = result.image;
  $("original").alt = describeInput();
  $("original").hidden = false;
  $("original-empty").hidden = true;
  if (input.index !== undefined) $("index").value = input.index;
  $("about-image").textContent = [input.file ? input.name : result.name, ...listLabels(input), `rate ${result.nats} nats`].join(", ");
  $("input").hidden = false;
  moveSliders(); showDecoded(); scheduleDrawing();
  for (const id of ["as-a", "as-b", "to-image"]) $(id).disabled = false;
  await Promise.all([showReconstruction(image), encodeInOtherRun(image), showNeighbors(image)]);
  showStatus(`${run.name}: ${describeInput()}.`);
});
const shortenName = (name, last = name.split("/").at(-1)) => last.length > 10 ? `…${last.slice(-9)}` : last;
const listLabels = (input) => {
  const map = page.map;
  const k = map?.column && input.index !== undefined ? map.rows.indexOf(input.index) : -1;
  return k < 0 ? [] : [`${map.column} ${formatLabel(k)}`];
};
async function showReconstruction(image) {
  const body = { run: page.active, image }, reply = await requestJson("api/reconstruct", body);
  $("pair").querySelector(".strip").replaceChildren(createImage(reply.images[0], "the image"), createImage(reply.images[1], "its reconstruction"));
  setRequest($("pair"), "api/reconstruct", body, reply);
}
async function showNeighbors(image) {
  if (activeRun().state !== "ready") return;
  const body = { run: page.active, image, n: 8 }, reply = await requestJson("api/nearest", body);
  $("near").querySelector(".strip").replaceChildren(...reply.near.map((near, k) => createElement("button", { type: "button", title: `${near.name}, distance ${near.distance.toFixed(2)}`, ariaLabel: `choose image ${near.name}, distance ${near.distance.toFixed(2)}`, onclick: () => chooseImage({ index: near.index }) }, createImage(reply.images[k + 1], ""), createElement("span", { textContent: shortenName(near.name) }))));
  setRequest($("near"), "api/nearest", body, reply);
}
async function encodeInOtherRun(image) {
  const k = page.beside;
  if (k === null || page.runs[k].latent === null) return;
  const source = image.file ? image : { ...image, of: page.active };
  const result = await requestJson("api/encode", { run: k, image: source });
  page.means[k] = result.latents;
  takeLabel(k, result.cond);
  page.z[k] = [...page.means[k]];
  showDecoded(k);
}
async function openFile(file) {
  if (!file) return;
  if (file.size > 8 * 2 ** 20) { showStatus(`${file.name} has more than 8 MiB; choose a smaller image.`); return; }
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let k = 0; k < bytes.length; k += 0x8000) text += String.fromCharCode(...bytes.subarray(k, k + 0x8000));
  chooseImage({ file: btoa(text), name: file.name });
}

// ---- the map
const UMAP_STATUS = "Computing UMAP; this may take a minute…", RETRY_SECONDS = 3;
let mapRequest = 0; // the latest: an earlier choice whose answer comes later is dropped
const loadMap = showRefusals(async () => {
  if (activeRun().state !== "ready") return;
  const request = ++mapRequest;
  const kind = $("plane").value, dims = [+$("dim-x").value, +$("dim-y").value], column = $("column").value || null;
  $("which").hidden = kind !== "dims";
  if (kind === "umap") showStatus(UMAP_STATUS);
  else if ($("status").textContent === UMAP_STATUS) showStatus("");
  let result;
  try {
    result = await requestJson("api/map", { run: page.active, kind, ...(kind === "dims" ? { dims } : {}), column });
  } catch (problem) { // shown beside the choice, which goes back to the present map
    if (!(problem instanceof RequestRefused)) throw problem;
    if (request !== mapRequest) return;
    $("map-problem").textContent = problem.message;
    if (!page.map) setTimeout(loadMap, 1000 * RETRY_SECONDS);
    $("plane").value = page.map?.kind ?? "pca";
    if (page.map) $("column").value = page.map.column ?? "";
    $("which").hidden = $("plane").value !== "dims";
    showStatus("");
    return;
  }
  if (request !== mapRequest) return;
  $("map-problem").textContent = "";
  page.map = { ...result, kind, dims, column, classes: activeRun().columns[column] };
  page.point = page.hovered = null;
  $("axes").textContent = `Horizontal: ${result.names[0]}. Vertical: ${result.names[1]}. ${result.rows.length.toLocaleString()} of ${activeRun().count.toLocaleString()} images.`;
  updateLegend(); redrawPoints();
  if (page.selection.size) describeSelection();
  if (kind === "umap") showStatus("");
});
const formatNumber = (value) => `${Number.isInteger(value) ? value : +value.toPrecision(4)}`; // 2012 is a year
const formatValue = (value) => value === null ? "no value" : page.map.classes ? page.map.classes[value] : formatNumber(value);
const formatLabel = (k) => formatValue(page.map.values[k]);
const nameColumn = (column) => SCORES[column]?.split(" (")[0] ?? column;
const adaptColour = (colour) => darkScheme.matches ? `color-mix(in srgb, ${colour} 62%, white)` : colour;
function getColour(value) {
  const { classes, span: [low, high] } = page.map;
  if (value === null) return "";
  if (classes) return adaptColour(CLASS_COLOURS[value % CLASS_COLOURS.length]);
  const x = Math.min(1, Math.max(0, (value - low) / (high - low || 1))) * (RAMP.length - 1), k = Math.min(RAMP.length - 2, Math.floor(x));
  return adaptColour(`color-mix(in oklab, ${RAMP[k + 1]} ${Math.round(20 * (x - k)) * 5}%, ${RAMP[k]})`); // few colours: the canvas reads each anew
}
const getGlyph = (value) => page.map.classes?.[value]?.length <= 2 ? page.map.classes[value] : "";
function updateLegend() { // of numbers the middle 96 % are spread over the colours, so that outliers leave them some
  const { values, classes, column } = page.map, sorted = values.filter((value) => value !== null).sort((a, b) => a - b), rows = [];
  const span = page.map.span = [0.02, 0.98].map((share) => sorted[Math.floor(share * (sorted.length - 1))] ?? 0);
  const createMark = (value) => Object.assign(createElement("i", { textContent: getGlyph(value) || "●" }), { style: `color: ${getColour(value) || "var(--soft)"}` });
  const createEntry = (value) => createElement("li", {}, createElement("button", { type: "button", title: "Select these images", onclick: () => selectRows(page.map.rows.filter((_, k) => values[k] === value)) }, createMark(value), getGlyph(value) ? "" : formatValue(value)));
  if (classes) {
    const present = [...new Set(sorted)];
    rows.push(...present.slice(0, 24).map(createEntry));
    if (present.length > 24) rows.push(createElement("li", { textContent: `and ${present.length - 24} more` }));
  } else if (column) {
    const ramp = Object.assign(createElement("i", { className: "ramp" }), { style: `background: linear-gradient(90deg, ${RAMP.map(adaptColour).join()})` });
    rows.push(createElement("li", {}, `${sorted[0] < span[0] ? "≤ " : ""}${formatNumber(span[0])}`, ramp, `${sorted.at(-1) > span[1] ? "≥ " : ""}${formatNumber(span[1])}`));
  }
  if (sorted.length < values.length) rows.push(createEntry(null));
  $("legend").replaceChildren(...rows);
}
function measureMap() {
  const box = $("canvas").getBoundingClientRect(), pad = 22, { places } = page.map;
  page.map.box ??= places.reduce(([a, b, c, d], [x, y]) => [Math.min(a, x), Math.max(b, x), Math.min(c, y), Math.max(d, y)], [Infinity, -Infinity, Infinity, -Infinity]);
  const [a, b, c, d] = page.map.box, sx = (box.width - 2 * pad) / (b - a || 1), sy = (box.height - 2 * pad) / (d - c || 1);
  return { width: box.width, height: box.height, to: ([x, y]) => [pad + (x - a) * sx, box.height - pad - (y - c) * sy], from: (x, y) => [a + (x - pad) / sx, c + (box.height - pad - y) / sy] };
}
darkScheme.onchange = () => { if (page.map) { updateLegend(); redrawPoints(); } };
let drawingRequest = 0;
function scheduleDrawing() { drawingRequest ||= requestAnimationFrame(() => { drawingRequest = 0; if (page.map && $("canvas").offsetWidth) drawMap(); }); }
let pointLayer = null; // the points alone, which stay while the pointer moves
function redrawPoints() { pointLayer = null; scheduleDrawing(); }
function drawPoints(canvas, view, style) {
  const pen = canvas.getContext("2d"), { places, values, rows } = page.map, accent = style.getPropertyValue("--accent"), soft = style.getPropertyValue("--soft");
  pen.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  pen.font = "600 10px system-ui, sans-serif"; pen.textAlign = "center"; pen.textBaseline = "middle";
  const mix = (k) => (k * 2654435761) % 2 ** 32, order = places.map((_, k) => k).sort((a, b) => mix(a) - mix(b)); // else the last class hides the others
  if (page.selection.size) order.sort((a, b) => page.selection.has(rows[a]) - page.selection.has(rows[b]));
  const radius = page.selection.size > 50 ? 2.4 : 4.5; // of a selected point: a few are easily overlooked
  for (const k of order) {
    const [x, y] = view.to(places[k]), value = values[k], text = getGlyph(value);
    pen.fillStyle = value === undefined ? accent : getColour(value) || soft;
    const isSelected = page.selection.has(rows[k]);
    pen.globalAlpha = isSelected ? 1 : page.selection.size ? 0.12 : text ? 0.8 : 0.6;
    if (text) pen.fillText(text, x, y);
    else { pen.beginPath(); pen.arc(x, y, isSelected ? radius : 2.4, 0, 7); pen.fill(); }
  }
  return canvas;
}
function drawMap() {
  const canvas = $("canvas"), pen = canvas.getContext("2d"), scale = devicePixelRatio, view = measureMap(), style = getComputedStyle(document.documentElement);
  canvas.width = view.width * scale; canvas.height = view.height * scale;
  if (pointLayer?.width !== canvas.width || pointLayer.height !== canvas.height) pointLayer = drawPoints(createElement("canvas", { width: canvas.width, height: canvas.height }), view, style);
  pen.drawImage(pointLayer, 0, 0);
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  const circle = (point, size, colour) => { const [x, y] = view.to(point); pen.strokeStyle = style.getPropertyValue(colour); pen.lineWidth = 2; pen.beginPath(); pen.arc(x, y, size, 0, 7); pen.stroke(); };
  const index = page.input?.index === undefined ? -1 : page.map.rows.indexOf(page.input.index);
  if (index >= 0) circle(page.map.places[index], 8, "--ink");
  const cross = projectLatents(page.z[page.active]);
  if (cross) { const [x, y] = view.to(cross); pen.strokeStyle = style.getPropertyValue("--ink"); pen.lineWidth = 2; pen.beginPath(); pen.moveTo(x - 7, y); pen.lineTo(x + 7, y); pen.moveTo(x, y - 7); pen.lineTo(x, y + 7); pen.stroke(); }
  if (page.hovered !== null) circle(page.map.places[page.hovered], 6, "--soft");
  if (page.point) circle(page.point, 5, "--accent");
  if (corners?.length > 1) { pen.beginPath(); for (const [x, y] of corners) pen.lineTo(x, y); pen.closePath(); pen.fillStyle = pen.strokeStyle = style.getPropertyValue("--accent"); pen.lineWidth = 1.5; pen.stroke(); pen.globalAlpha = 0.1; pen.fill(); }
}
function projectLatents(z) {
  const { axes, origin } = page.map;
  return z && axes && axes.map((axis) => axis.reduce((sum, a, k) => sum + a * (z[k] - (origin?.[k] ?? 0)), 0));
}
function liftPoint([x, y]) { // the latents of a point on the map
  const { axes, origin, dims } = page.map;
  if (origin) return origin.map((o, k) => +(o + x * axes[0][k] + y * axes[1][k]).toFixed(4));
  const z = [...(page.z[page.active] ?? Array(activeRun().latent).fill(0))];
  z[dims[0]] = +x.toFixed(4); z[dims[1]] = +y.toFixed(4);
  return z;
}
const decodePoint = runLatest(async (point) => {
  const nearest = findClosest(point), figure = $("lens"), isLinear = page.map.axes !== null;
  const path = isLinear ? "api/decode" : "api/reconstruct";
  const body = { run: page.active, ...(isLinear ? { latents: [liftPoint(point)], cond: page.cond[page.active] } : { image: { index: page.map.rows[nearest] } }) };
  const reply = await requestJson(path, body), image = figure.querySelector("img");
  image.src = reply.images.at(-1);
  image.alt = "decoded point of the map";
  image.hidden = false;
  figure.querySelector("figcaption").textContent = isLinear ? "Decoded point of the map" : "Reconstruction of the nearest image";
  if (isLinear) figure.dataset.latents = ""; else delete figure.dataset.latents;
  figure.querySelector(".actions").replaceChildren();
  addActions(figure, [".png"], "point");
  if (isLinear) figure.querySelector(".actions").append(createElement("button", { type: "button", className: "take", textContent: "Copy to the sliders", onclick: () => setLatents(body.latents[0]) }));
  setRequest(figure, path, body, reply);
});
function findClosest(point) {
  const view = measureMap(), [x, y] = view.to(point);
  let best = 0, least = Infinity;
  page.map.places.forEach((other, k) => { const [a, b] = view.to(other), distance = (a - x) ** 2 + (b - y) ** 2; if (distance < least) { least = distance; best = k; } });
  return best;
}
function selectPoint(point) {
  const view = measureMap(), nearest = findClosest(point), tip = $("tip"), [x, y] = view.to(page.map.places[nearest]);
  page.point = point;
  if (nearest !== page.hovered) {
    page.hovered = nearest;
    tip.lastChild.textContent = `${page.map.called[nearest]}${page.map.column ? `, ${nameColumn(page.map.column)} ${formatLabel(nearest)}` : ""}`;
    tip.firstChild.hidden = true; // until its own image is there
    showThumbnail(nearest);
  }
  tip.hidden = false;
  const top = y - tip.offsetHeight - 10;
  tip.style.left = `${Math.max(4, Math.min(view.width - tip.offsetWidth - 4, x + 10))}px`;
  tip.style.top = `${top >= 4 ? top : y + 14}px`;
  decodePoint(point); scheduleDrawing();
}
const locatePixel = (event, box = $("canvas").getBoundingClientRect()) => [event.clientX - box.left, event.clientY - box.top];
const locatePointer = (event) => measureMap().from(...locatePixel(event));
async function loadThumbnails(rows) {
  const cache = page.thumbnails, missing = rows.filter((row) => !cache.has(row));
  if (missing.length) {
    const reply = await requestJson("api/thumbnails", { run: page.active, rows: missing });
    missing.forEach((row, k) => cache.set(row, { image: reply.images[k], name: reply.names[k] }));
  }
  return rows.map((row) => cache.get(row));
}
const showThumbnail = runLatest(async (nearest) => {
  const [{ image }] = await loadThumbnails([page.map.rows[nearest]]);
  if (page.hovered !== nearest) return;
  $("tip").firstChild.src = image;
  $("tip").firstChild.hidden = false;
  if (!$("tip").hidden) selectPoint(page.point); // above the point, now that it is higher
});

// ---- the selection: rows of the data, by lasso, by key, or by a class of the legend
let corners = null, dragged = false; // corners of the lasso in pixels, while it is drawn
function selectRows(rows, extend = false) {
  if (!page.map) return; // another run meanwhile
  page.selection = new Set(extend ? [...page.selection, ...rows] : rows);
  redrawPoints(); describeSelection();
}
const describeSelection = runLatest(async () => {
  const rows = [...page.selection].sort((a, b) => a - b), { column, classes, values } = page.map, counts = new Map();
  $("selection").hidden = !rows.length;
  if (!rows.length) return;
  $("selected").textContent = `${rows.length.toLocaleString()} of ${activeRun().count.toLocaleString()} images selected`;
  page.map.rows.forEach((row, k) => { if (classes && page.selection.has(row)) counts.set(values[k], (counts.get(values[k]) ?? 0) + 1); });
  const common = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 6).map(([value, n]) => `${formatValue(value)} ${n}`);
  const step = Math.max(1, rows.length / MAX_SHEET), sample = rows.filter((_, k) => Math.floor(k / step) > Math.floor((k - 1) / step)).slice(0, MAX_SHEET);
  $("about-selection").textContent = [common.length ? `${nameColumn(column)}: ${common.join(", ")}${counts.size > 6 ? ` and ${counts.size - 6} more` : ""}.` : "", sample.length < rows.length ? `Below: ${sample.length} of them, evenly spaced.` : ""].join(" ");
  const thumbnails = await loadThumbnails(sample);
  $("sheet").replaceChildren(...thumbnails.map(({ image, name }, k) => createElement("button", { type: "button", title: name, ariaLabel: `choose image ${name}`, onclick: () => chooseImage({ index: sample[k] }) }, createImage(image, ""))));
});
function finishLasso(extend) {
  const view = measureMap(), path = corners;
  const isInside = ([x, y]) => path.reduce((inside, [a, b], k) => { const [c, d] = path.at(k - 1); return (b > y) !== (d > y) && x < ((c - a) * (y - b)) / (d - b) + a ? !inside : inside; }, false);
  const rows = page.map.rows.filter((_, k) => isInside(view.to(page.map.places[k])));
  $("find").value = "";
  selectRows(rows, extend);
  showStatus(rows.length ? `${page.selection.size.toLocaleString()} images selected.` : "There is no image inside the lasso.");
}
const findImages = runLatest(async (choose) => {
  const text = $("find").value.trim();
  const { rows, count } = text ? await requestJson("api/find", { run: page.active, text }) : { rows: [], count: 0 };
  selectRows(rows);
  showStatus(!text ? "" : count ? `${count.toLocaleString()} ${count > 1 ? "keys contain" : "key contains"} “${text}”.` : `No key contains “${text}”.`);
  if (choose && rows.length) chooseImage({ index: rows[0] });
});
const saveSelection = showRefusals(async () => {
  const onMap = new Set(page.map.rows), rows = [...page.selection].filter((row) => onMap.has(row));
  if (!rows.length) { showStatus("None of these images is on the map, so the table has no rows of them."); return; }
  const response = await sendRequest("api/selection", { run: page.active, rows });
  downloadBlob(await response.blob(), `${activeRun().name}-selection.csv`);
  showStatus(`Saved ${rows.length.toLocaleString()} rows${rows.length < page.selection.size ? `; ${page.selection.size - rows.length} images are not on the map` : ""}.`);
});

// ---- interpolation and samples
function setEnd(which) {
  page.ends[which] = page.input;
  const id = "ab"[which];
  $(`end-${id}`).src = $("original").src;
  $(`end-${id}`).alt = describeInput();
  $(`end-${id}`).hidden = false;
  $(`name-${id}`).textContent = describeInput();
  interpolate();
}
const interpolate = runLatest(async () => {
  if (!page.ends.every(Boolean)) return;
  const body = { run: page.active, images: page.ends, steps: +$("steps").value, spherical: $("line").value === "spherical" };
  const reply = await requestJson("api/walk", body), figure = $("path");
  figure.hidden = false; $("no-path").hidden = true;
  figure.querySelector(".strip").replaceChildren(...reply.images.map((image, k) => createImage(image, `step ${k}`)));
  $("scrub").max = reply.images.length - 1;
  $("scrub").oninput = () => { $("frame").src = reply.images[$("scrub").value]; $("frame").alt = `step ${$("scrub").value}`; };
  $("scrub").value = Math.min($("scrub").value, reply.images.length - 1);
  $("scrub").oninput();
  setRequest(figure, "api/walk", body, reply);
});
const drawSamples = runLatest(async () => {
  const run = activeRun(), standard = run.prior.learned && $("prior").value === "standard", body = { run: page.active, n: +$("n").value, seed: +$("seed").value, standard };
  if (run.prior.learned && !standard) {
    body.options = Object.fromEntries(run.prior.options.map(({ name, choices }) => [name, choices ? $(`option-${name}`).value : +$(`option-${name}`).value]));
  }
  if (run.prior.condition && !standard) {
    const classes = [...$("cond").querySelectorAll("[aria-pressed=true]")].map((button) => button.value);
    body.cond = $("cond").querySelector("input")?.value || classes.join(",") || undefined;
  }
  $("samples").setAttribute("aria-busy", "true");
  const reply = await requestJson("api/sample", body).finally(() => $("samples").removeAttribute("aria-busy"));
  $("samples").querySelector(".grid").replaceChildren(...reply.images.map((image, k) => createImage(image, `sample ${k} of seed ${body.seed}`)));
  setRequest($("samples"), "api/sample", body, reply);
  showStatus(`${run.name}: ${body.n} samples of seed ${body.seed}.`);
});
function updatePrior() {
  const { prior: spec, name } = activeRun(), { learned } = spec;
  $("about-prior").textContent = learned ? `Drawn from the prior that ${name} has learned, or from ${spec.name}, the prior of its autoencoder.`
    : `Drawn from ${spec.name}.${spec.advice}`;
  $("prior-label").hidden = !learned;
  $("options").replaceChildren(...(spec.options ?? []).map(createOption));
  const box = $("cond"), row = box.querySelector(".row");
  box.hidden = !spec.condition;
  if (spec.condition === "class") {
    box.querySelector("legend").textContent = `${spec.column}: without a choice, as often as in the data`;
    row.replaceChildren(...spec.classes.slice(0, 64).map((text) => {
      const chip = createElement("button", { type: "button", textContent: text, value: text });
      chip.setAttribute("aria-pressed", "false");
      chip.onclick = () => { chip.setAttribute("aria-pressed", chip.getAttribute("aria-pressed") !== "true"); drawSamples(); };
      return chip;
    }));
  } else if (spec.condition === "number") {
    box.querySelector("legend").textContent = `${spec.column}: without a choice, as often as in the data`;
    row.replaceChildren(createElement("input", { ariaLabel: `${spec.column} of the samples, such as 0.5,2`, onchange: () => drawSamples() }));
  } else if (spec.condition === "image") {
    box.querySelector("legend").textContent = `${spec.column} of a test image, by its number`;
    row.replaceChildren(createElement("input", { type: "number", min: 0, value: 0, ariaLabel: `number of the test image whose ${spec.column} is the condition`, onchange: () => drawSamples() }));
  }
}
function createOption({ name, about, value, choices, low, whole }) {
  const field = choices ? createElement("select", {}, ...choices.map((choice) => createElement("option", { textContent: choice }))) : createElement("input", { type: "number", min: low ?? "", step: whole ? 1 : "any" });
  field.id = `option-${name}`; field.value = value; field.onchange = () => drawSamples();
  return createElement("label", { title: about }, `${name[0].toUpperCase()}${name.slice(1)} `, field);
}

// ---- the whole page
function fillSelect(select, rows, value) {
  select.replaceChildren(...rows.map(([key, text]) => createElement("option", { value: key, textContent: text })));
  if (value !== undefined) select.value = value;
}
function updateLayout() {
  const run = activeRun(), hasLatents = run.latent !== null, hasData = run.state === "ready";
  document.title = `${run.name} · latentia explorer`;
  document.querySelector("main").classList.toggle("only-samples", !hasLatents);
  for (const element of document.querySelectorAll(".needs-latents, .needs-data")) element.hidden = (element.classList.contains("needs-latents") && !hasLatents) || (element.classList.contains("needs-data") && !hasData);
  const notes = [];
  if (!hasLatents) notes.push(`${run.name} (${run.recipe}) only draws images: it has no encoder, so it has no sliders, no map and no interpolation.`);
  if (run.state === "missing") notes.push(`${run.missing} Sliders and samples work without them.`);
  if (run.state === "reading") notes.push("The images are being read; map and neighbours appear afterwards.");
  $("notes").replaceChildren(...notes.map((text) => createElement("p", { textContent: text })));
  $("of").textContent = hasData ? `of ${run.count.toLocaleString()} in ${run.split}` : "";
  $("index").max = Math.max(0, run.count - 1);
}
const enterRun = showRefusals(async () => { // shows another run
  const run = activeRun();
  updateLayout(); updatePictures();
  page.map = null;
  page.ends = [null, null];
  page.hovered = null;
  const identity = `${page.active} ${run.name} ${run.source}`;
  if (page.entered !== identity) { // else the same images, at another beta
    page.selection.clear(); page.thumbnails.clear();
    $("selection").hidden = true; $("find").value = "";
  }
  page.entered = identity;
  $("path").hidden = true; $("no-path").hidden = false;
  for (const id of "ab") { $(`end-${id}`).hidden = true; $(`name-${id}`).textContent = "…"; }
  updatePrior(); drawSamples();
  if (run.latent === null) return;
  page.z[page.active] ??= Array(run.latent).fill(0);
  if (page.cond[page.active] === undefined) takeLabel(page.active); else updateLabel();
  fillSelect($("dim-x"), run.dims.map((dim) => [dim.dim, `z ${dim.name}`]));
  fillSelect($("dim-y"), run.dims.map((dim) => [dim.dim, `z ${dim.name}`]), (run.dims[1] ?? run.dims[0]).dim);
  const labels = Object.keys(run.columns).filter((name) => !SCORES[name]), scores = Object.keys(SCORES).filter((name) => name in run.columns);
  const createGroup = (label, names) => createElement("optgroup", { label }, ...names.map((name) => createElement("option", { value: name, textContent: SCORES[name] ?? name })));
  fillSelect($("column"), [["", "none"]]);
  $("column").append(...(labels.length ? [createGroup("Labels", labels)] : []), createGroup("Scores", scores));
  $("column").value = labels[0] ?? "";
  for (const [value, textContent] of [["umap", "UMAP"], ["own", "own coordinates"]]) {
    if (run[value] && !$("plane").querySelector(`[value=${value}]`)) $("plane").append(createElement("option", { value, textContent, selected: value === "own" }));
  }
  $("map-problem").textContent = "";
  updateSliders(); updateBeta(); showDecoded();
  await loadMap();
  if (page.input?.file || (page.input && run.state === "ready")) chooseImage(page.input);
  else if (run.state === "ready") chooseImage({ index: 0 });
  if (page.beside !== null && !page.input) showDecoded(page.beside);
});
const refreshRuns = showRefusals(async () => { // requests the runs again until all images are read
  const betas = encodeURIComponent(JSON.stringify({ ...page.runs.map((run) => run.betas?.now) }));
  // a server with other runs may refuse the betas
  const reply = await requestJson(`api/runs?betas=${betas}`).catch(() => requestJson("api/runs")), before = page.runs, identity = (run) => `${run?.name} ${run?.state}`;
  const previous = before[page.active];
  page.runs = reply.runs;
  if (page.active >= page.runs.length) page.active = 0;
  if (page.beside >= page.runs.length) page.beside = null;
  before.forEach((run, k) => { // a server with other runs: choices of the old ones are void
    if (run.name === page.runs[k]?.name && run.latent === page.runs[k].latent) return;
    delete page.z[k]; delete page.means[k]; delete page.cond[k];
    if (run === previous) page.input = null;
  });
  if (page.runs.map(identity).join() !== before.map(identity).join()) {
    const entries = page.runs.map((run, k) => [k, page.runs.filter((other) => other.name === run.name).length > 1 ? `${run.name} (${k + 1})` : run.name]);
    fillSelect($("run"), entries, page.active);
    fillSelect($("beside"), [["", "none"], ...entries], page.beside ?? "");
    $("beside-label").hidden = page.runs.length < 2;
    // Another run that becomes ready must not disturb work with the active one.
    if (identity(activeRun()) !== identity(previous)) await enterRun();
    else { updateLayout(); updatePictures(); }
  } else showDecoded();
  if (page.runs.some((run) => run.state === "reading")) setTimeout(refreshRuns, 500);
});
$("run").onchange = () => { page.active = +$("run").value; if (page.beside === page.active) { page.beside = null; $("beside").value = ""; } enterRun(); };
$("beside").onchange = showRefusals(async () => {
  const value = $("beside").value;
  page.beside = value === "" || +value === page.active ? null : +value;
  updatePictures(); showDecoded();
  if (page.beside !== null && page.input) await encodeInOtherRun(page.input);
});
$("file").onchange = () => { openFile($("file").files[0]); $("file").value = ""; };
$("index").onchange = () => chooseImage({ index: Math.max(0, Math.floor(+$("index").value)) });
$("previous").onclick = () => chooseImage({ index: Math.max(0, +$("index").value - 1) });
$("next").onclick = () => chooseImage({ index: Math.min(activeRun().count - 1, +$("index").value + 1) });
$("any").onclick = () => chooseImage({ index: Math.floor(Math.random() * activeRun().count) });
$("as-a").onclick = () => setEnd(0);
$("as-b").onclick = () => setEnd(1);
$("to-image").onclick = () => { if (page.means[page.active]) { takeLabel(page.active, page.labels[page.active]); setLatents(page.means[page.active]); } };
$("to-zero").onclick = () => setLatents(Array(activeRun().latent).fill(0));
$("beta").oninput = () => { $("beta-now").textContent = `${readBeta()}`; changeBeta(false); };
$("beta").onchange = () => changeBeta(true);
for (const id of ["plane", "dim-x", "dim-y", "column"]) $(id).onchange = loadMap;
for (const id of ["steps", "line"]) $(id).onchange = () => interpolate();
for (const id of ["n", "prior"]) $(id).onchange = () => drawSamples();
$("draw").onsubmit = (event) => { event.preventDefault(); drawSamples(); };
$("another").onclick = () => { $("seed").value = +$("seed").value + 1; drawSamples(); };
$("find").oninput = () => findImages(false);
$("find").onkeydown = (event) => { if (event.key === "Enter") findImages(true); };
$("clear-selection").onclick = () => { $("find").value = ""; selectRows([]); };
$("save-selection").onclick = () => saveSelection();
$("lasso").onclick = () => { const on = $("field").classList.toggle("lasso"); $("lasso").setAttribute("aria-pressed", on); };
$("canvas").onpointerdown = (event) => {
  dragged = false;
  if (page.map && event.button === 0 && (event.pointerType !== "touch" || $("field").classList.contains("lasso"))) corners = [locatePixel(event)];
};
$("canvas").onpointermove = (event) => {
  if (!page.map) return;
  if (!corners) { selectPoint(locatePointer(event)); return; }
  const [x, y] = locatePixel(event), [a, b] = corners.at(-1);
  if (Math.hypot(x - a, y - b) < 4) return; // a hand that shakes while it clicks
  if (!dragged) { dragged = true; $("canvas").setPointerCapture(event.pointerId); $("tip").hidden = true; page.point = page.hovered = null; }
  corners.push([x, y]);
  scheduleDrawing();
};
$("canvas").onpointerup = (event) => { if (dragged) finishLasso(event.shiftKey); corners = null; };
$("canvas").onpointercancel = () => { corners = null; scheduleDrawing(); };
$("canvas").onpointerleave = () => { if (!corners) { $("tip").hidden = true; page.point = page.hovered = null; scheduleDrawing(); } };
$("canvas").onclick = (event) => { if (page.map && !dragged) { const nearest = findClosest(locatePointer(event)); selectPoint(page.map.places[nearest]); chooseImage({ index: page.map.rows[nearest] }); } };
$("canvas").onkeydown = (event) => {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  if (!page.map || (!step && !["Enter", " ", "Escape"].includes(event.key))) return;
  event.preventDefault();
  measureMap();
  const [a, b, c, d] = page.map.box, [x, y] = page.point ?? projectLatents(page.z[page.active]) ?? [(a + b) / 2, (c + d) / 2];
  if (step) selectPoint([x + (step[0] * (b - a)) / 40, y + (step[1] * (d - c)) / 40]);
  else if (event.key === "Escape") selectRows([]);
  else {
    const row = page.map.rows[findClosest([x, y])];
    if (event.key === "Enter") chooseImage({ index: row });
    else selectRows(page.selection.has(row) ? [...page.selection].filter((other) => other !== row) : [...page.selection, row]);
  }
};
addEventListener("resize", scheduleDrawing);
addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("dragging"); });
addEventListener("dragleave", () => document.body.classList.remove("dragging"));
addEventListener("drop", (event) => { event.preventDefault(); document.body.classList.remove("dragging"); if (activeRun()?.latent !== null) openFile(event.dataTransfer.files[0]); });
addActions($("pair"), [".png"], "pair"); addActions($("near"), [".png"], "neighbours"); addActions($("path"), [".png", ".gif"], "interpolation"); addActions($("samples"), [".png"], "samples");
if (location.search) history.replaceState(null, "", location.pathname); // the token is a cookie now
refreshRuns();
