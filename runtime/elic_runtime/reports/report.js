(() => {
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

  const press = (buttons, pressed) => {
    for (const button of buttons) button.setAttribute("aria-pressed", String(button === pressed));
  };

  /* A photograph: layers below a stage, which are scaled and moved; the divider stays in the stage's coordinates. */
  const view = (viewer) => {
    const stage = viewer.querySelector(".stage");
    const layers = viewer.querySelector(".layers");
    const divider = viewer.querySelector(".divider");
    const range = viewer.querySelector(".split");
    const shows = viewer.querySelectorAll("[data-show]");
    const zooms = viewer.querySelectorAll("[data-zoom]");
    const state = { zoom: 1, x: 0, y: 0, split: 50 };

    const draw = () => {
      const { width, height } = stage.getBoundingClientRect();
      state.x = clamp(state.x, width * (1 - state.zoom), 0);
      state.y = clamp(state.y, height * (1 - state.zoom), 0);
      const cut = ((state.split / 100) * width - state.x) / state.zoom / width;
      layers.style.transform = `translate(${state.x}px, ${state.y}px) scale(${state.zoom})`;
      layers.style.setProperty("--cut", `${clamp(100 * cut, 0, 100)}%`);
      stage.style.setProperty("--split", `${state.split}%`);
      stage.toggleAttribute("data-zoomed", state.zoom > 1);
      range.value = state.split;
      range.setAttribute("aria-valuetext", `${Math.round(state.split)} % original`);
    };
    const splitAt = (event) => {
      const { left, width } = stage.getBoundingClientRect();
      state.split = clamp((100 * (event.clientX - left)) / width, 0, 100);
      draw();
    };
    const zoomTo = (button) => {
      const { width, height } = stage.getBoundingClientRect();
      const factor = Number(button.dataset.zoom) / state.zoom;
      state.x = width / 2 - factor * (width / 2 - state.x);
      state.y = height / 2 - factor * (height / 2 - state.y);
      state.zoom *= factor;
      press(zooms, button);
      draw();
    };

    range.addEventListener("input", () => { state.split = Number(range.value); draw(); });
    for (const button of shows) {
      button.addEventListener("click", () => { viewer.dataset.view = button.dataset.show; press(shows, button); });
    }
    for (const button of zooms) button.addEventListener("click", () => zoomTo(button));
    stage.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      const comparing = viewer.dataset.view === "compare";
      state.drag = comparing && (event.target === divider || state.zoom === 1) ? "split" : "pan";
      stage.setPointerCapture(event.pointerId);
      if (state.drag === "split") splitAt(event);
    });
    stage.addEventListener("pointermove", (event) => {
      if (!stage.hasPointerCapture(event.pointerId)) return;
      if (state.drag === "split") splitAt(event);
      else { state.x += event.movementX; state.y += event.movementY; draw(); }
    });
    stage.addEventListener("keydown", (event) => {
      if (!(event.key in ARROWS) || state.zoom === 1) return;
      const { width, height } = stage.getBoundingClientRect();
      const [right, down] = ARROWS[event.key];
      state.x += (right * width) / 8;
      state.y += (down * height) / 8;
      event.preventDefault();
      draw();
    });
    new ResizeObserver(draw).observe(stage);
  };

  /* The pictures that beginnings of a file give, one at a time. */
  const step = (figure) => {
    const pictures = [...figure.querySelectorAll(".previews img")];
    const range = figure.querySelector("input");
    const output = figure.querySelector("output");
    const draw = () => {
      pictures.forEach((picture, number) => { picture.hidden = number !== Number(range.value); });
      output.textContent = pictures[range.value].dataset.text;
      range.setAttribute("aria-valuetext", output.textContent);
    };
    for (const button of figure.querySelectorAll("button")) {
      button.addEventListener("click", () => { range.value = Number(range.value) + Number(button.dataset.by); draw(); });
    }
    range.addEventListener("input", draw);
    draw();
  };

  /* Tables: a heading sorts its column, and again the other way. Cells without a number come last. */
  const sortable = (table) => {
    const headings = [...table.tHead.rows[0].cells];
    const valueOf = (row, column) => {
      const cell = row.cells[column];
      const text = cell.dataset.value ?? cell.textContent;
      return text === "" ? null : Number.isNaN(Number(text)) ? text : Number(text);
    };
    const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true }));
    headings.forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const way = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        for (const each of headings) each.removeAttribute("aria-sort");
        heading.setAttribute("aria-sort", way === 1 ? "ascending" : "descending");
        const keyed = [...table.tBodies[0].rows].map((row) => [valueOf(row, column), row]);
        keyed.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : way * compare(a, b)));
        table.tBodies[0].append(...keyed.map(([, row]) => row));
      });
    });
  };

  document.querySelectorAll(".viewer").forEach(view);
  document.querySelectorAll(".progressive").forEach(step);
  document.querySelectorAll("table.sortable").forEach(sortable);
})();
