"use strict";
// Draws the charts one after another, so that the page can be read meanwhile; sorts tables; switches the theme.

const charts = JSON.parse(document.getElementById("charts").textContent);

async function draw(place) {
  const { spec, data } = charts.figures[place.dataset.chart];
  const chart = charts.specs[spec];
  const filled = chart.data.map((of) => (of.name in data ? { ...of, values: data[of.name] } : of));
  const options = { mode: "vega", renderer: "svg", ast: true, actions: false, defaultStyle: false };
  await vegaEmbed(place, { ...chart, data: filled }, { ...options, tooltip: { disableDefaultStyle: true } });
  place.dataset.drawn = "true";
}

async function drawAll() {
  let since = performance.now();
  for (const place of document.querySelectorAll("[data-chart]")) {
    if (performance.now() - since > 50) {
      await new Promise((resolve) => setTimeout(resolve)); // let the reader scroll
      since = performance.now();
    }
    try {
      await draw(place);
    } catch (error) {
      place.textContent = "This chart cannot be drawn here. Its numbers are below.";
      console.error(error);
    }
  }
  document.documentElement.dataset.charts = "drawn";
}

function sorted(rows, column, descending) {
  const key = (row) => row.cells[column].dataset.key;
  const order = (a, b) => (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b) * (descending ? -1 : 1);
  return rows.sort((one, other) => {
    const [a, b] = [key(one), key(other)];
    return a === "" || b === "" ? (a === "") - (b === "") : order(a, b);
  });
}

function sort(button) {
  const head = button.closest("th");
  const body = head.closest("table").tBodies[0];
  const descending = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  body.append(...sorted([...body.rows], head.cellIndex, descending));
}

function choose(theme) {
  document.documentElement.dataset.theme = theme;
  for (const button of document.querySelectorAll(".switch button"))
    button.setAttribute("aria-pressed", String(button.dataset.theme === theme));
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button?.closest(".switch")) choose(button.dataset.theme);
  else if (button?.closest(".sortable")) sort(button);
});

const pictures = JSON.parse(document.getElementById("pictures").textContent);

function showPicture(place, number) {
  place.src = `data:image/webp;base64,${pictures[number]}`;
}

for (const place of document.querySelectorAll("img[data-picture]")) showPicture(place, place.dataset.picture);

const opened = [];
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("details:not([open], .screen)")) {
    fold.open = true;
    opened.push(fold);
  }
});
addEventListener("afterprint", () => {
  for (const fold of opened.splice(0)) fold.open = false;
});

drawAll();
