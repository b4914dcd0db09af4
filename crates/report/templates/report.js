(() => {
  "use strict";
  const make = (name, text, type) => {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    if (type) made.className = type;
    return made;
  };

  /* Words under the pointer: the drawing's own titles, at once and in one place. */
  const tip = make("div", "", "tip");
  tip.hidden = true;
  document.body.append(tip);
  const words = new Map();
  for (const title of document.querySelectorAll("svg.plot title")) {
    words.set(title.parentNode, title.textContent);
    title.remove();
  }
  const place = (event) => {
    const gap = 14;
    const left = Math.min(event.clientX + gap, innerWidth - tip.offsetWidth - gap);
    const above = event.clientY - tip.offsetHeight - gap;
    tip.style.left = `${Math.max(gap, left)}px`;
    tip.style.top = `${above > 0 ? above : event.clientY + gap}px`;
  };
  document.addEventListener("pointerover", (event) => {
    const group = event.target.closest ? event.target.closest("svg.plot g") : null;
    const text = words.get(group);
    tip.hidden = !text;
    if (text) {
      tip.textContent = text;
      place(event);
    }
  });
  document.addEventListener("pointermove", (event) => {
    if (!tip.hidden) place(event);
  });

  /* Legend entries take their series away and bring it back. */
  const series = (name) => name.replace(/\b(mark|bar|box|cap|line|wide)\b/g, "").trim();
  for (const figure of document.querySelectorAll("figure")) {
    const groups = [...figure.querySelectorAll("svg.plot > g")];
    for (const entry of figure.querySelectorAll(".keys li")) {
      const mine = groups.filter((group) => series(group.getAttribute("class")) === series(entry.dataset.of));
      if (mine.length === 0) continue;
      const button = make("button");
      button.type = "button";
      button.title = "show or hide";
      button.setAttribute("aria-pressed", "true");
      button.append(...entry.childNodes);
      entry.append(button);
      button.addEventListener("click", () => {
        const shown = button.getAttribute("aria-pressed") === "false";
        button.setAttribute("aria-pressed", String(shown));
        for (const group of mine) group.classList.toggle("gone", !shown);
      });
    }
  }

  /* The table of runs sorts by any column and filters by any word. */
  const table = document.querySelector("table.sortable");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const value = (row, column) => {
    const cell = row.cells[column];
    return "key" in cell.dataset ? Number(cell.dataset.key) : cell.textContent.trim();
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a === typeof b) return a.localeCompare(b, "en", { numeric: true });
    return typeof a === "number" ? -1 : 1;
  };
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = make("button", head.textContent);
    button.type = "button";
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      rows.sort((a, b) => compare(value(a, column), value(b, column)) * (up ? 1 : -1));
      body.append(...rows);
    });
  });
  const field = make("input");
  field.type = "search";
  const label = make("label", "Filter ", "filter");
  const count = make("output", `${rows.length} runs`);
  label.append(field);
  const bar = make("p", "", "tools");
  bar.append(label, count);
  table.parentNode.before(bar);
  field.addEventListener("input", () => {
    const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let kept = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !wanted.every((word) => text.includes(word));
      kept += row.hidden ? 0 : 1;
    }
    count.textContent = kept === rows.length ? `${kept} runs` : `${kept} of ${rows.length} runs`;
  });
})();
