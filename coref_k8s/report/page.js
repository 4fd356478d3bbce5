// Follows a trial from chart to chart: the mark nearest to pointer or finger, and the same trial everywhere else.
// Everything listens on the document, so that a part that a server sends anew needs no further care.
(() => {
  const tip = document.createElement("div");
  tip.className = "tip";
  document.body.append(tip);
  let followed = null;
  let told = null;
  let about = {};

  function texts() {
    const source = document.getElementById("about-trials");
    if (source !== told) about = source ? JSON.parse(source.textContent) : {};
    told = source;
    return about;
  }

  function follow(key, x, y) {
    if (key !== followed) {
      document.querySelectorAll(".on").forEach((one) => one.classList.remove("on"));
      document.body.classList.toggle("follow", key !== null);
      if (key !== null) {
        document.querySelectorAll(`[data-t="${key}"]`).forEach((one) => {
          one.classList.add("on");
          if (one.ownerSVGElement) one.parentNode.append(one);
        });
      }
      followed = key;
    }
    const text = key === null ? null : texts()[key];
    tip.style.display = text ? "block" : "none";
    if (!text) return;
    tip.textContent = text;
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(6, Math.min(x + 14, innerWidth - width - 6))}px`;
    tip.style.top = `${y - height - 14 > 6 ? y - height - 14 : y + 22}px`;
  }

  function toSegment(px, py, ax, ay, bx, by) {
    const length = (bx - ax) ** 2 + (by - ay) ** 2;
    const share = length ? Math.max(0, Math.min(1, ((px - ax) * (bx - ax) + (py - ay) * (by - ay)) / length)) : 0;
    return Math.hypot(px - ax - share * (bx - ax), py - ay - share * (by - ay));
  }

  function distance(mark, x, y) {
    if (mark.tagName === "circle") return Math.hypot(x - mark.cx.baseVal.value, y - mark.cy.baseVal.value);
    const points = mark.points;
    let nearest = points.length === 1 ? Math.hypot(x - points[0].x, y - points[0].y) : Infinity;
    for (let i = 1; i < points.length; i++) {
      nearest = Math.min(nearest, toSegment(x, y, points[i - 1].x, points[i - 1].y, points[i].x, points[i].y));
    }
    return nearest;
  }

  function look(plot, event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(plot.getScreenCTM().inverse());
    let best = null;
    let least = event.pointerType === "touch" ? 40 : 24;
    plot.querySelectorAll("[data-t]").forEach((mark) => {
      const far = distance(mark, at.x, at.y);
      if (far < least) [best, least] = [mark.dataset.t, far];
    });
    follow(best, event.clientX, event.clientY);
  }

  document.addEventListener("pointermove", (event) => {
    const plot = event.target.closest?.("svg.plot");
    if (plot) look(plot, event);
    else if (event.pointerType === "mouse" && !event.target.closest?.("tr[data-t]")) follow(null);
  });
  document.addEventListener("pointerdown", (event) => {
    const plot = event.target.closest("svg.plot");
    if (plot) look(plot, event);
    else if (!event.target.closest("tr[data-t]")) follow(null);
  });
  addEventListener("scroll", () => { tip.style.display = "none"; }, { passive: true });

  function sort(head) {
    const table = head.closest("table");
    const heads = [...table.tHead.rows[0].cells];
    const place = heads.indexOf(head);
    const down = head.classList.contains("desc");
    heads.forEach((one) => {
      one.classList.remove("asc", "desc");
      one.removeAttribute("aria-sort");
    });
    head.classList.add(down ? "asc" : "desc");
    head.setAttribute("aria-sort", down ? "ascending" : "descending");
    const value = (row) => row.cells[place].textContent.replace("−", "-").replaceAll(",", "");
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      const [m, n] = [parseFloat(x), parseFloat(y)];
      if (isNaN(m) !== isNaN(n)) return isNaN(m) ? 1 : -1;
      const order = isNaN(m) ? x.localeCompare(y) : m - n;
      return down ? order : -order;
    });
    table.tBodies[0].append(...rows);
  }

  document.addEventListener("click", (event) => {
    const head = event.target.closest("table.sortable th");
    if (head) return sort(head);
    const row = event.target.closest("tr[data-t]");
    if (row && !event.target.closest("a")) {
      follow(row.dataset.t === followed ? null : row.dataset.t, event.clientX, event.clientY);
    }
  });
  document.addEventListener("keydown", (event) => {
    const head = event.target.closest("table.sortable th");
    if (head && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      sort(head);
    }
  });
})();
