"use strict";
// Sorting, filtering and run cards in a dialog. Without this script the page has all of its content, and no controls.

/** The number at the beginning of a cell's text, or null: "−1.2 ± 0.3 †" is -1.2, "≥ 20.0 ∞" is 20. */
function numberIn(text) {
  const found = text.replace(/−/g, "-").replace(/^≥ |,/g, "").match(/^[+-]?\d+(\.\d+)?/);
  return found ? Number(found[0]) : null;
}

/** Compare two cells' texts; numbers come before what is none (–, …, ✗, ‡, ∞) in either direction. */
function compare(a, b, direction) {
  const [x, y] = [numberIn(a), numberIn(b)];
  if (x !== null && y !== null) return direction * (x - y);
  if (x !== null || y !== null) return x !== null ? -1 : 1;
  return direction * a.localeCompare(b);
}

/** The rows of a block of a table, without its heading. */
const rowsOf = (body) => [...body.rows].filter((row) => !row.classList.contains("block"));
const blockOf = (row) => row.parentElement.querySelector(".block");

/** Make the heads of a table buttons: ascending, descending, and back to the order of the page. */
function makeSortable(table) {
  const bodies = [...table.tBodies].map((body) => [body, rowsOf(body)]);
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { ascending: "descending", descending: "" }[head.getAttribute("aria-sort")] ?? "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (next) head.setAttribute("aria-sort", next);
      const direction = next === "ascending" ? 1 : -1;
      bodies.forEach(([body, original]) => {
        const shown = (cell) => cell.querySelector(table.closest(".table")?.querySelector(".show-lv:checked") ? ".lv" : ".df") ?? cell;
        const text = (row) => shown(row.cells[column]).textContent.trim();
        body.append(...(next ? [...original].sort((a, b) => compare(text(a), text(b), direction)) : original));
      });
    });
  });
}

/** Put a field before a table's box that hides the rows which lack one of its words. */
function makeFilterable(table, box) {
  const tools = document.createElement("div");
  const label = document.createElement("label");
  const field = document.createElement("input");
  const count = document.createElement("span");
  tools.className = "tools";
  field.type = "search";
  field.autocomplete = "off";
  count.setAttribute("role", "status");
  label.append("Filter rows ", field);
  tools.append(label, count);
  box.before(tools);
  const rows = [...table.tBodies].flatMap(rowsOf);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    rows.forEach((row) => {
      const text = [blockOf(row), ...row.cells].map((cell) => cell?.textContent ?? "").join(" ").toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    });
    table.querySelectorAll(".block").forEach((block) => { block.hidden = rowsOf(block.parentElement).every((row) => row.hidden); });
    const shown = rows.filter((row) => !row.hidden).length;
    count.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
  });
}

/** The dialog that cards are shown in; a card is moved there from its place at the end of the page, and back. */
function makeDialog() {
  const dialog = document.createElement("dialog");
  const head = document.createElement("div");
  const title = document.createElement("p");
  const close = document.createElement("button");
  const content = document.createElement("div");
  head.className = "head";
  title.id = "dialog-title";
  close.type = "button";
  close.className = "plain";
  close.textContent = "Close";
  dialog.setAttribute("aria-labelledby", title.id);
  head.append(title, close);
  dialog.append(head, content);
  document.body.append(dialog);
  const homes = new Map(); // card -> what holds its place

  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // beside the dialog
  });
  dialog.addEventListener("close", () => {
    dialog.querySelectorAll(".hit").forEach((row) => row.classList.remove("hit"));
    homes.forEach((home, card) => home.replaceWith(card));
    homes.clear();
  });

  return (link) => {
    const ids = (link.dataset.from ?? link.hash.slice(1)).split(" ");
    const places = ids.map((id) => document.getElementById(id)).filter(Boolean);
    if (!places.length) return false;
    places.forEach((place) => {
      const card = place.closest("article");
      if (!homes.has(card)) {
        homes.set(card, document.createComment("in the dialog"));
        card.replaceWith(homes.get(card));
        content.append(card);
      }
      if (place !== card) place.classList.add("hit");
    });
    const number = link.classList.contains("from") ? `${link.textContent} comes from ` : "";
    const several = homes.size > 1 ? `the runs of ${homes.size} cards` : "these runs";
    title.textContent = number ? number + several : "Run card";
    dialog.showModal();
    dialog.scrollTop = 0;
    if (places[0] !== places[0].closest("article")) places[0].scrollIntoView({ block: "center" });
    return true;
  };
}

/** Put a button after a text that copies it, or selects it where the browser does not allow that. */
function makeCopyable(text) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "plain";
  button.textContent = "Copy";
  text.after(button);
  button.addEventListener("click", async () => {
    const range = document.createRange();
    range.selectNodeContents(text);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Selected";
    }
  });
}

/** Narrow all tables to what the form says; what it says stands in the address, so that it can be passed on. */
function makeSelectable(form) {
  form.hidden = false;
  const keys = [...form.elements].map((field) => field.name);
  const asked = new URLSearchParams(location.hash.split("?")[1] ?? location.search);
  keys.forEach((key) => { form.elements[key].value = asked.get(key) ?? ""; if (!form.elements[key].value) form.elements[key].value = ""; });
  const apply = (told) => {
    const chosen = keys.map((key) => [key, form.elements[key].value]).filter(([, value]) => value);
    const fits = (element) => chosen.every(([key, value]) => !(key in element.dataset) || element.dataset[key] === value
      || (key === "augmentation" && element.dataset[key] === "none"));
    document.querySelectorAll("div.table").forEach((block) => {
      const group = form.elements.group?.value;
      block.querySelectorAll("table").forEach((table) => {
        const columns = [...table.tHead.rows[0].cells].map(fits);
        [...table.tBodies].flatMap(rowsOf).forEach((row) => {
          row.classList.toggle("away", !fits(row));
          [...row.cells].forEach((cell, column) => cell.classList.toggle("away", !columns[column]));
        });
        [...table.tHead.rows[0].cells].forEach((cell, column) => cell.classList.toggle("away", !columns[column]));
        table.querySelectorAll(".block").forEach((block) => {
          block.classList.toggle("away", rowsOf(block.parentElement).every((row) => row.classList.contains("away")));
        });
        const piece = table.closest("details.group");
        (piece ?? table.closest(".scroll")).classList.toggle("away", Boolean(group) && (piece?.dataset.group ?? "main") !== group);
        if (piece && group) piece.open = piece.dataset.group === group;
      });
    });
    if (!told) return;
    const query = new URLSearchParams(chosen).toString();
    const place = location.hash.split("?")[0] || "#tables";
    history.replaceState(null, "", query ? `${place}?${query}` : place);
  };
  form.addEventListener("input", () => apply(true));
  if (keys.some((key) => form.elements[key].value)) apply(false);
  const [place, query] = location.hash.slice(1).split("?");
  if (query) document.getElementById(place)?.scrollIntoView();
}

/** One tab stop for a table: arrow keys lead from one number, or head, to the next. */
function makeGrid(table) {
  const what = "a.from, a.to-card, button.sort";
  const all = [...table.querySelectorAll(what)];
  const first = all.find((each) => each.matches("a.from")) ?? all[0];
  all.forEach((each) => { each.tabIndex = each === first ? 0 : -1; });
  table.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step || !event.target.matches(what)) return;
    const shown = [...table.querySelectorAll(what)].filter((each) => each.offsetParent);
    let next = shown[shown.indexOf(event.target) + step];
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const column = event.target.closest("td, th").cellIndex;
      const rows = [...table.rows].filter((row) => row.offsetParent);
      for (let place = rows.indexOf(event.target.closest("tr")) + step; rows[place]; place += step) {
        next = rows[place].cells[column]?.querySelector(what);
        if (next) break;
      }
    }
    if (!next) return;
    event.preventDefault();
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}

document.querySelectorAll("form.selectors").forEach(makeSelectable);
document.querySelectorAll(".sortable").forEach((box) => {
  const table = box.querySelector("table");
  makeSortable(table);
  makeFilterable(table, box);
});
document.querySelectorAll(".scroll table").forEach(makeGrid);
document.querySelectorAll("pre.copy").forEach(makeCopyable);
const show = makeDialog();
document.addEventListener("click", (event) => {
  const link = event.target.closest("a.from, a.to-card");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  if (show(link)) event.preventDefault();
});
