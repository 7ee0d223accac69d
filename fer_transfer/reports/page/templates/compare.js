"use strict";
// Counts two rows face by face, from what they said of each face at each seed.

const ONE_SEED = { a: "Only A is right", b: "Only B is right", none: "Both are wrong, in different ways" };
const MORE_SEEDS = { a: "A is right at more seeds", b: "B is right at more seeds", none: "Both are always wrong, in different ways" };
const FEW = 12; // faces of a list that are shown before the reader asks for all

function paired(compared, one, other) {
  const [first, second] = one < other ? [one, other] : [other, one];
  const pair = compared.pairs[`${first} ${second}`];
  if (!pair || one < other) return pair;
  const [mean, low, high] = pair.points;
  return { ...pair, points: [-mean, -high, -low] };
}

// Of each face at how many of the seeds it is right.
function rights(row, truth, seeds) {
  return [...truth].map((label, face) => seeds.filter((seed) => row.said[seed][face] === label).length);
}

// What most of the seeds say of a face, and how sure those are that say so, 0..1.
function saying(row, face, seeds) {
  const votes = {};
  for (const seed of seeds) (votes[row.said[seed][face]] ??= []).push(row.sure[seed][face] / 100);
  const [says, sure] = Object.entries(votes).reduce((most, vote) => (vote[1].length > most[1].length ? vote : most));
  return { says, sure: sure.reduce((sum, value) => sum + value, 0) / sure.length };
}

function counted(compared, one, other, seeds) {
  const rows = [compared.rows[one], compared.rows[other]];
  const { truth } = compared.sets[rows[0].set];
  const table = { both: 0, a: 0, b: 0, none: 0 };
  for (const seed of seeds)
    for (let face = 0; face < truth.length; face++) {
      const [a, b] = rows.map((row) => row.said[seed][face] === truth[face]);
      table[a ? (b ? "both" : "a") : b ? "b" : "none"] += 1 / seeds.length;
    }
  const [a, b] = rows.map((row) => rights(row, truth, seeds));
  const faces = [...truth].map((_, face) => face);
  const said = faces.map((face) => rows.map((row) => saying(row, face, seeds)));
  const sure = (face) => said[face][0].sure + said[face][1].sure;
  const surer = (x, y) => Math.abs(a[y] - b[y]) - Math.abs(a[x] - b[x]) || sure(y) - sure(x) || x - y;
  const lists = {
    a: faces.filter((face) => a[face] > b[face]).sort(surer),
    b: faces.filter((face) => b[face] > a[face]).sort(surer),
    none: faces.filter((face) => !a[face] && !b[face] && said[face][0].says !== said[face][1].says).sort(surer),
  };
  return { table, lists, said, right: seeds.length > 1 ? [a, b, seeds.length] : null };
}

function element(kind, text, ...classes) {
  const made = document.createElement(kind);
  made.textContent = text;
  made.classList.add(...classes);
  return made;
}

// A file's name, which a narrow column may break after its underlines.
function fileName(id) {
  const made = element("span", "", "id");
  made.append(...id.split(/(?<=_)/).flatMap((part) => [part, document.createElement("wbr")]));
  return made;
}

// said holds what A and B say of the face; right, with several seeds, at how many they are right by face, and how many there are.
function faceItem(compared, one, face, said, right) {
  const set = compared.sets[compared.rows[one].set];
  const number = compared.pictures[compared.rows[one].set][face];
  const named = (character) => set.classes[character.charCodeAt(0) - 48];
  const truth = named(set.truth[face]);
  const says = said.map((of, row) => `${"AB"[row]}: ${named(of.says)} ${of.sure.toFixed(2)}`);
  const item = document.createElement("li");
  if (number !== undefined) {
    const picture = document.createElement("img");
    showPicture(picture, number);
    picture.alt = `${set.ids[face]}, is ${truth}`;
    picture.title = set.ids[face];
    item.append(picture);
  } else item.append(fileName(set.ids[face]));
  item.append(element("b", truth), ...says.map((text) => element("span", text)));
  if (right) item.append(element("small", `right: ${right[0][face]} and ${right[1][face]} of ${right[2]}`));
  return item;
}

function signed(value) {
  return (value > 0 ? "+" : value < 0 ? "\u2212" : "") + Math.abs(value).toFixed(1);
}

function verdict(compared, pair, table) {
  const faces = table.both + table.a + table.b + table.none;
  const percent = (right) => `${((100 * right) / faces).toFixed(1)} %`;
  const [mean, low, high] = pair.points;
  const p = pair.p < 0.001 ? "p\u00a0<\u00a00.001" : `p\u00a0=\u00a0${pair.p.toPrecision(2)}`;
  const scores = `A is right on ${percent(table.both + table.a)}, B on ${percent(table.both + table.b)}`;
  const points = `${signed(mean)} points (${compared.level} interval ${signed(low)} to ${signed(high)}), ${p}`;
  const over = pair.seeds.length > 1
    ? `over ${Math.round(faces)} faces and the ${pair.seeds.length} seeds that both have`
    : `by McNemar's exact test over ${Math.round(faces)} faces. Seed ${pair.seeds[0]} alone: another may turn it`;
  return `${scores}: ${points} ${over}.`;
}

function caveats(compared, one, other) {
  const [a, b] = [one, other].map((place) => compared.rows[place].caveats);
  if (a === b) return a;
  return [a && `A: ${a}`, b && `B: ${b}`].filter(Boolean).join(". ");
}

function unpaired(compared, one, other) {
  if (one === other) return "This is the same row twice: choose another.";
  if (compared.rows[one].set !== compared.rows[other].set)
    return "These two rows were scored on different faces: they cannot be compared face by face.";
  return "These two rows have no seed in common.";
}

function fill(list, item, faces, most) {
  const items = list.querySelector("ul");
  const more = list.querySelector("button");
  items.replaceChildren(...faces.slice(0, most).map(item));
  list.querySelector(".count").textContent = faces.length;
  more.hidden = faces.length <= most;
  more.textContent = `Show all ${faces.length}`;
  more.onclick = () => {
    fill(list, item, faces, faces.length);
    items.children[most].focus();
  };
  for (const shown of items.children) shown.tabIndex = -1;
}

function compareRows(place, compared) {
  const [one, other] = [...place.querySelectorAll("select")].map((select) => Number(select.value));
  const pair = paired(compared, one, other);
  place.querySelector(".found").hidden = !pair;
  if (!pair) {
    place.querySelector(".verdict").textContent = unpaired(compared, one, other);
    return;
  }
  const { table, lists, said, right } = counted(compared, one, other, pair.seeds);
  place.querySelector(".verdict").textContent = verdict(compared, pair, table);
  for (const cell of place.querySelectorAll("[data-cell]"))
    cell.textContent = table[cell.dataset.cell].toFixed(pair.seeds.length > 1 ? 1 : 0);
  place.querySelector(".stated").textContent = caveats(compared, one, other);
  const titles = pair.seeds.length > 1 ? MORE_SEEDS : ONE_SEED;
  place.querySelector(".mean").hidden = pair.seeds.length < 2;
  const { why } = compared.sets[compared.rows[one].set];
  place.querySelector(".why").textContent = why;
  for (const list of place.querySelectorAll("[data-list]")) {
    list.querySelector(".title").textContent = titles[list.dataset.list];
    fill(list, (face) => faceItem(compared, one, face, said[face], right), lists[list.dataset.list], FEW);
  }
}

for (const place of document.querySelectorAll(".compare")) {
  const compared = JSON.parse(place.querySelector("script").textContent);
  for (const select of place.querySelectorAll("select"))
    select.addEventListener("change", () => compareRows(place, compared));
  compareRows(place, compared);
}
