"use strict";
(() => {
  const root = document.documentElement;
  const plots = [...document.querySelectorAll(".plot")];
  const widths = new Map(); // of those that are drawn

  // ---- figures ----------------------------------------------------------------------------------

  function resolved(value, key) {
    if (Array.isArray(value)) return value.map((one) => resolved(one, key));
    if (value !== null && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, resolved(one, name)]));
    const isVariable = typeof value === "string" && value.startsWith("--") && /color/i.test(key);
    return isVariable ? getComputedStyle(root).getPropertyValue(value).trim() : value;
  }

  function template() {
    const axis = {
      automargin: true, fixedrange: true, zeroline: false, gridcolor: "--line", linecolor: "--line",
      tickcolor: "--line", ticklabelstandoff: 4, title: { standoff: 8, font: { size: 12 } },
    };
    return resolved({
      layout: {
        font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: "--ink" },
        paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
        colorway: ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5"],
        margin: { l: 12, r: 14, t: 8, b: 12 },
        dragmode: false, hovermode: "closest",
        hoverlabel: { bgcolor: "--surface", bordercolor: "--line", font: { color: "--ink" } },
        legend: { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom" },
        xaxis: axis, yaxis: axis,
      },
    }, "");
  }

  function draw(plot) {
    const spec = JSON.parse(plot.nextElementSibling.textContent);
    const width = plot.clientWidth;
    const layout = { height: 320, ...resolved(spec.layout, ""), width, template: template() };
    widths.set(plot, width);
    Plotly.react(plot, resolved(spec.data, ""), layout, { displayModeBar: false });
  }

  const redraw = () => widths.forEach((_, plot) => draw(plot));

  // A page may have a hundred figures: each is drawn only when it comes into view.
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      seen.unobserve(target);
      if (!widths.has(target)) draw(target);
    }
  }, { rootMargin: "800px" });
  const sized = new ResizeObserver((entries) => {
    for (const { target } of entries)
      if (widths.has(target) && widths.get(target) !== target.clientWidth) draw(target);
  });
  for (const plot of plots) {
    seen.observe(plot);
    sized.observe(plot);
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  // ---- paper ------------------------------------------------------------------------------------

  const contents = document.querySelector("nav details");
  const wide = matchMedia("(min-width: 75rem)");
  const unfold = () => { contents.open = wide.matches; };
  wide.addEventListener("change", unfold);
  unfold();

  let unfolded = [];
  addEventListener("beforeprint", () => {
    root.classList.add("printing");
    unfolded = [...document.querySelectorAll("details.table:not([open])")];
    for (const one of unfolded) one.open = true;
    plots.forEach(draw);
  });
  addEventListener("afterprint", () => {
    root.classList.remove("printing");
    for (const one of unfolded) one.open = false;
    redraw();
  });

  // ---- tables -----------------------------------------------------------------------------------

  const collator = new Intl.Collator("en", { numeric: true });

  function keyOf(row, column) {
    const cell = row.cells[column];
    return cell.dataset.sort ?? cell.textContent;
  }

  function compare(a, b) {
    if (a === "" || b === "") return (a === "") - (b === ""); // nothing comes last
    const difference = Number(a) - Number(b);
    return Number.isNaN(difference) ? collator.compare(a, b) : difference;
  }

  function sort(heading) {
    const body = heading.closest("table").tBodies[0];
    const rows = [...body.rows];
    const descending = heading.getAttribute("aria-sort") === "ascending";
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    rows.sort((one, other) => {
      const [a, b] = [keyOf(one, heading.cellIndex), keyOf(other, heading.cellIndex)];
      return a !== "" && b !== "" && descending ? compare(b, a) : compare(a, b);
    });
    body.append(...rows);
  }

  for (const button of document.querySelectorAll("th button"))
    button.addEventListener("click", () => sort(button.closest("th")));

  for (const form of document.querySelectorAll("form.filter")) {
    const rows = [...document.getElementById(form.dataset.table).tBodies[0].rows];
    const count = form.querySelector("[role=status]");
    const filter = () => {
      const words = form.elements.words.value.toLowerCase().split(/\s+/);
      const chosen = form.elements.status?.value ?? "";
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        const statuses = (row.dataset.status ?? "").split(" ");
        row.hidden = !words.every((word) => text.includes(word))
          || (chosen !== "" && !statuses.includes(chosen));
      }
      count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
    };
    form.addEventListener("input", filter);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.hidden = false;
    filter();
  }

  // ---- lines to copy ----------------------------------------------------------------------------

  for (const button of document.querySelectorAll("button.copy")) {
    const line = button.parentElement.querySelector("code");
    const label = button.textContent;
    button.hidden = false;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(line.textContent);
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = label; }, 1500);
      } catch { // the browser forbids it: then Ctrl+C does it
        getSelection().selectAllChildren(line);
      }
    });
  }
})();
