"use strict";
// The page is complete without this: it adds a switch of themes, and tables that sort.
(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const themes = ["", "light", "dark"];
  const names = ["Theme: as the system", "Theme: light", "Theme: dark"];
  let theme = 0;
  const show = () => {
    root.dataset.theme = themes[theme];
    button.textContent = names[theme];
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = (theme + 1) % themes.length;
    show();
  });
  show();

  const units = { "µs": 1e-6, ms: 1e-3, s: 1 };
  const key = (cell) => {
    const text = cell ? cell.textContent.trim() : "";
    const match = /^±?\s*(-?[\d.]+)\s*(µs|ms|s)?/.exec(text);
    return match ? Number(match[1]) * (units[match[2]] || 1) : text;
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    if (body.rows.length < 2) continue;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if (!head.textContent) return;
      const sort = document.createElement("button");
      sort.type = "button";
      sort.className = "sort";
      sort.textContent = head.textContent;
      head.replaceChildren(sort);
      sort.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].sort((a, b) => {
          const [x, y] = [key(a.cells[column]), key(b.cells[column])];
          const numbers = typeof x === "number" && typeof y === "number";
          const order = numbers ? x - y : String(x).localeCompare(String(y));
          return down ? -order : order;
        });
        body.append(...rows);
      });
    });
  }
})();
