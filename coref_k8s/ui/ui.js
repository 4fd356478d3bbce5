// Keeps an open page live: fetches it again and changes only what differs, so that what is typed, opened, scrolled to
// and looked at stays. Links and forms marked `data-soft`, and zooming, change the address in place.
(() => {
  const main = document.getElementById("main");
  const lost = document.getElementById("lost");
  let tag = null;
  let timer = null;
  let asked = 0;

  function same(a, b) {
    return a.nodeType === b.nodeType && a.nodeName === b.nodeName && a.id === b.id && a.dataset?.t === b.dataset?.t;
  }

  function become(old, now) {
    if (old.nodeType === Node.TEXT_NODE) {
      if (old.data !== now.data) old.data = now.data;
      return;
    }
    for (const { name } of [...old.attributes]) {
      if (!now.hasAttribute(name) && !(old.nodeName === "DETAILS" && name === "open")) old.removeAttribute(name);
    }
    for (const { name, value } of now.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    if (old.nodeName === "INPUT" || old.nodeName === "SELECT") return;
    const end = old.nodeName === "PRE" && old.scrollTop + old.clientHeight >= old.scrollHeight - 4;
    children(old, now);
    if (end) old.scrollTop = old.scrollHeight;
  }

  function children(old, now) {
    let at = old.firstChild;
    for (const wanted of [...now.childNodes]) {
      let found = at;
      // what went away before it is skipped; what is new is put in
      if (found && !same(found, wanted)) {
        for (found = at.nextSibling; found && !same(found, wanted); ) found = found.nextSibling;
        if (found && (wanted.id || wanted.dataset?.t)) while (at !== found) {
          const gone = at;
          at = at.nextSibling;
          gone.remove();
        } else found = null;
      }
      if (found) {
        at = found.nextSibling;
        become(found, wanted);
      } else {
        old.insertBefore(document.importNode(wanted, true), at);
      }
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  }

  function decorate() {
    for (const svg of main.querySelectorAll("svg[data-zoom][data-part]")) {
      if (svg.parentNode.querySelector(".whole")) continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "whole";
      button.textContent = main.dataset.whole;
      button.addEventListener("click", () => zoom(svg.dataset.zoom, null));
      svg.after(button);
    }
  }

  async function refresh(now) {
    clearTimeout(timer);
    const mine = ++asked;
    const busy = document.body.classList.contains("follow") || dragged || !getSelection().isCollapsed;
    if (now || !(document.hidden || busy)) {
      try {
        const answer = await fetch(location.href, { headers: tag ? { "If-None-Match": tag } : {}, redirect: "manual" });
        if (mine !== asked) return;
        if (answer.status !== 304) {
          const page = new DOMParser().parseFromString(await answer.text(), "text/html");
          const fresh = page.getElementById("main");
          if (mine !== asked) return;
          if (fresh) {
            document.title = page.title;
            become(main, fresh);
            decorate();
          }
          tag = answer.ok ? answer.headers.get("ETag") : null;
        }
        lost.hidden = true;
      } catch {
        if (mine !== asked) return;
        lost.textContent = main.dataset.lost;
        lost.hidden = false;
      }
    }
    timer = setTimeout(refresh, 1000 * main.dataset.seconds);
  }

  function go(address, keep) {
    history[keep ? "replaceState" : "pushState"](null, "", address);
    tag = null;
    return refresh(true);
  }

  addEventListener("popstate", () => { tag = null; refresh(true); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });

  // -- filter and sort ------------------------------------------------------------------------------------

  let typing = null;

  function filtered(form, keep) {
    const given = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    return go(`?${given}`, keep);
  }

  document.addEventListener("input", (event) => {
    const form = event.target.closest("form[data-soft]");
    if (!form) return;
    clearTimeout(typing);
    typing = setTimeout(() => filtered(form, true), 250);
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("form[data-soft]")) return;
    event.preventDefault();
    clearTimeout(typing);
    filtered(event.target);
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-soft]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go(link.getAttribute("href"));
  });

  // -- zoom -----------------------------------------------------------------------------------------------

  let dragged = null;

  function zoom(name, ends) {
    const address = new URL(location.href);
    if (ends) address.searchParams.set(`z.${name}`, ends.map((end) => +end.toPrecision(6)).join(","));
    else address.searchParams.delete(`z.${name}`);
    return go(address, true);
  }

  const numbers = (text) => text.split(",").map(Number);

  function at(svg, event) {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const [left, right, bottom, top] = numbers(svg.dataset.area);
    return [Math.max(left, Math.min(right, point.x)), Math.max(top, Math.min(bottom, point.y))];
  }

  function drag(event) {
    const { svg, lens, from } = dragged;
    const to = at(svg, event);
    const [, , bottom, top] = numbers(svg.dataset.area);
    const flat = event.pointerType === "touch"; // a finger scrolls the page upright
    const [y, high] = flat ? [top, bottom - top] : [Math.min(from[1], to[1]), Math.abs(to[1] - from[1])];
    lens.setAttribute("x", Math.min(from[0], to[0]));
    lens.setAttribute("y", y);
    lens.setAttribute("width", Math.abs(to[0] - from[0]));
    lens.setAttribute("height", high);
    dragged.to = flat ? [to[0], bottom] : to;
    if (flat) dragged.from = [from[0], top];
  }

  document.addEventListener("pointerdown", (event) => {
    const svg = event.target.closest("svg[data-zoom]");
    if (!svg || event.button) return;
    const lens = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    lens.setAttribute("class", "lens");
    svg.append(lens);
    dragged = { svg, lens, from: at(svg, event) };
    if (event.pointerType === "mouse") event.preventDefault();
    svg.focus({ preventScroll: true });
  });
  document.addEventListener("pointermove", (event) => { if (dragged) drag(event); });
  document.addEventListener("pointercancel", () => { dragged?.lens.remove(); dragged = null; });
  document.addEventListener("pointerup", () => {
    if (!dragged) return;
    const { svg, lens, from, to } = dragged;
    lens.remove();
    dragged = null;
    if (!to || Math.abs(to[0] - from[0]) < 8 || Math.abs(to[1] - from[1]) < 8) return;
    const [left, right, bottom, top] = numbers(svg.dataset.area);
    const [x0, x1, y0, y1] = numbers(svg.dataset.ends);
    const x = (px) => x0 + ((px - left) / (right - left)) * (x1 - x0);
    const y = (px) => y0 + ((bottom - px) / (bottom - top)) * (y1 - y0);
    const [xs, ys] = [[x(from[0]), x(to[0])], [y(from[1]), y(to[1])]];
    zoom(svg.dataset.zoom, [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)]);
  });
  document.addEventListener("dblclick", (event) => {
    const svg = event.target.closest("svg[data-part]");
    if (svg) zoom(svg.dataset.zoom, null);
  });
  document.addEventListener("keydown", (event) => {
    const svg = event.target.closest?.("svg[data-zoom]");
    if (!svg || event.ctrlKey || event.metaKey || event.altKey) return;
    const [x0, x1, y0, y1] = numbers(svg.dataset.ends);
    const [w, h] = [x1 - x0, y1 - y0];
    const part = {
      "+": [x0 + w / 4, x1 - w / 4, y0 + h / 4, y1 - h / 4],
      "-": [x0 - w / 2, x1 + w / 2, y0 - h / 2, y1 + h / 2],
      ArrowLeft: [x0 - w / 4, x1 - w / 4, y0, y1],
      ArrowRight: [x0 + w / 4, x1 + w / 4, y0, y1],
      ArrowUp: [x0, x1, y0 + h / 4, y1 + h / 4],
      ArrowDown: [x0, x1, y0 - h / 4, y1 - h / 4],
    }[event.key === "=" ? "+" : event.key];
    if (part) zoom(svg.dataset.zoom, part);
    else if (event.key === "Escape" || event.key === "0") zoom(svg.dataset.zoom, null);
    else return;
    event.preventDefault();
  });

  decorate();
  const log = document.querySelector("pre.log");
  if (log) log.scrollTop = log.scrollHeight;
  timer = setTimeout(refresh, 1000 * main.dataset.seconds);
})();
