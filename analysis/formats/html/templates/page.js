"use strict";
(() => {
  const made = (name, options = {}, ...children) => {
    const element = Object.assign(document.createElement(name), options);
    element.append(...children);
    return element;
  };

  // Rows by a column: numbers by size, empty cells and real images last. A third press brings the plan's order back.
  const sortable = (table) => {
    const body = table.tBodies[0];
    const first = [...body.rows];
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    const key = (row, at) => {
      const cell = row.cells[at];
      const text = at ? cell.dataset.order : cell.textContent;
      return text === "" ? null : Number.isFinite(Number(text)) ? Number(text) : text;
    };
    const compare = (a, b) => {
      if (typeof a === "number" && typeof b === "number") return a - b;
      return String(a).localeCompare(String(b));
    };
    heads.forEach((head, at) => {
      const button = made("button", { type: "button" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        const next = { null: "ascending", ascending: "descending", descending: null }[before];
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        const rows = [...first];
        if (next) {
          head.setAttribute("aria-sort", next);
          const sign = next === "ascending" ? 1 : -1;
          const last = (row) => row.classList.contains("floor") || key(row, at) === null;
          rows.sort((a, b) => last(a) - last(b) || (last(a) ? 0 : sign * compare(key(a, at), key(b, at))));
        }
        body.append(...rows);
      });
    });
  };

  // Which columns are seen; the headings above groups of them shrink along.
  const choosable = (table) => {
    const rows = [...table.rows].filter((row) => !row.classList.contains("groups"));
    const heads = [...rows[0].cells].slice(1);
    if (heads.length < 3) return;
    const groups = [...table.querySelectorAll("tr.groups > :not(:first-child)")];
    const summary = made("summary");
    const fieldset = made("fieldset", {}, made("legend", { textContent: "Columns that are seen" }));
    const told = () => {
      const seen = heads.filter((head) => !head.hidden).length;
      summary.textContent = `Columns: ${seen} of ${heads.length}`;
      let start = 0;
      for (const group of groups) {
        const width = Number(group.dataset.width);
        const own = heads.slice(start, start + width).filter((head) => !head.hidden).length;
        group.hidden = own === 0;
        group.colSpan = own || 1;
        start += width;
      }
      const apart = groups.filter((group) => group.textContent && !group.hidden).length > 1;
      if (groups.length) groups[0].parentElement.hidden = !apart;
    };
    heads.forEach((head, index) => {
      const show = (seen) => rows.forEach((row) => { row.cells[index + 1].hidden = !seen; });
      const box = made("input", { type: "checkbox", checked: head.dataset.folded === undefined });
      box.addEventListener("change", () => { show(box.checked); told(); });
      fieldset.append(made("label", {}, box, head.textContent));
      show(box.checked);
    });
    told();
    table.closest(".scroll").after(made("details", { className: "columns" }, summary, fieldset));
  };

  // Exact values: under the pointer, or where a finger is put.
  const tip = made("div", { className: "tip", hidden: true });
  tip.setAttribute("role", "status");
  const tell = (cell) => {
    tip.hidden = !cell;
    if (!cell) return;
    tip.textContent = cell.dataset.exact;
    const box = cell.getBoundingClientRect();
    const room = document.documentElement.clientWidth;
    tip.style.left = "0px";
    const left = Math.max(8, Math.min(box.right - tip.offsetWidth, room - tip.offsetWidth - 8));
    tip.style.left = `${left + scrollX}px`;
    tip.style.top = `${box.bottom + scrollY + 4}px`;
  };
  const exact = () => {
    document.body.append(tip);
    for (const cell of document.querySelectorAll("table.data td[title]")) {
      cell.dataset.exact = cell.title;
      cell.removeAttribute("title");
    }
    const under = (event) => tell(event.target.closest && event.target.closest("td[data-exact]"));
    document.addEventListener("pointerover", under);
    document.addEventListener("click", under);
    document.addEventListener("keydown", (event) => { if (event.key === "Escape") tell(null); });
    document.addEventListener("scroll", () => tell(null), { capture: true, passive: true });
  };

  // Pictures as large as the window.
  const enlargeable = (figures) => {
    if (!figures.length) return;
    const image = made("img");
    const close = made("form", { method: "dialog" }, made("button", { textContent: "Close" }));
    const caption = made("p", { className: "caption" });
    const dialog = made("dialog", {}, close, image, caption);
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    document.body.append(dialog);
    for (const figure of figures) {
      const small = figure.querySelector("img");
      const words = figure.querySelector("figcaption").textContent;
      const button = made("button", { type: "button", className: "enlarge" });
      button.setAttribute("aria-label", `Enlarge: ${small.alt}`);
      small.replaceWith(button);
      button.append(small);
      button.addEventListener("click", () => {
        image.src = small.src;
        image.alt = small.alt;
        caption.textContent = words;
        dialog.setAttribute("aria-label", words);
        dialog.className = figure.classList.contains("pixels") ? "pixels" : "";
        dialog.showModal();
      });
    }
  };

  // On paper what is folded cannot be opened.
  const printable = () => {
    let opened = [];
    addEventListener("beforeprint", () => {
      opened = [...document.querySelectorAll("details.paper:not([open])")];
      opened.forEach((fold) => { fold.open = true; });
    });
    addEventListener("afterprint", () => opened.forEach((fold) => { fold.open = false; }));
  };

  for (const table of document.querySelectorAll("main table.data")) {
    if (table.closest(".on-paper")) continue;
    choosable(table);
    sortable(table);
  }
  exact();
  enlargeable(document.querySelectorAll("figure.picture"));
  printable();
})();
