"use strict";
(() => {
  const body = document.body, bar = document.querySelector("nav");
  const [back, label, count, next, close] = bar.children;
  const parts = new Map();  // chain → its elements, mention by mention
  for (const mark of document.querySelectorAll("[data-c]")) {
    if (!parts.has(mark.dataset.c)) parts.set(mark.dataset.c, []);
    parts.get(mark.dataset.c).push(mark);
  }
  let kept = null, place = 0;

  const light = (chain) => {
    for (const mark of document.querySelectorAll(".lit")) mark.classList.remove("lit");
    body.classList.toggle("lighting", chain !== null);
    for (const mark of parts.get(chain) ?? []) mark.classList.add("lit");
  };
  const mentions = (chain) => (parts.get(chain) ?? []).filter((mark) => mark.id);

  const keep = (chain, at = 0) => {
    for (const mark of document.querySelectorAll(".here")) mark.classList.remove("here");
    kept = chain;
    light(chain);
    bar.hidden = chain === null;
    if (chain === null) return;
    const all = mentions(chain);
    place = (at + all.length) % all.length;
    const entity = document.querySelector(`aside [data-c="${chain}"]`);
    bar.className = entity.className.replace("lit", "");
    label.textContent = entity.querySelector("b").textContent;
    count.textContent = `${place + 1} / ${all.length}`;
    all[place].classList.add("here");
  };
  const jump = (by) => {
    if (kept === null) return;
    keep(kept, place + by);
    mentions(kept)[place].scrollIntoView({ block: "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  };
  const innermost = (target) => target.closest("main .m:not(.alone)");

  document.addEventListener("mouseover", (event) => {
    if (kept !== null) return;
    const mark = innermost(event.target) ?? event.target.closest("aside li");
    light(mark ? mark.dataset.c : null);
  });
  document.querySelector("main").addEventListener("click", (event) => {
    const mark = innermost(event.target);
    if (!mark) return keep(null);
    const of = mark.id || mark.dataset.of;
    keep(mark.dataset.c, mentions(mark.dataset.c).findIndex((one) => one.id === of));
  });
  document.querySelector("aside").addEventListener("click", (event) => {
    const link = event.target.closest("a"), item = event.target.closest("li");
    if (!item) return;
    const at = link ? mentions(item.dataset.c).findIndex((one) => `#${one.id}` === link.hash) : 0;
    if (link || kept !== item.dataset.c) keep(item.dataset.c, at);
    if (link) { event.preventDefault(); jump(0); }
  });
  // the arrows also begin with the mention that has the focus or lies under the mouse
  const step = (by) => {
    const mark = document.activeElement?.closest("main .m") ?? innermost([...document.querySelectorAll("main .m:hover")].at(-1) ?? body);
    if (kept === null && mark) mark.click();
    jump(by);
  };
  document.querySelector("main").addEventListener("focusin", (event) => kept === null && light(event.target.dataset.c ?? null));
  back.addEventListener("click", () => jump(-1));
  next.addEventListener("click", () => jump(1));
  close.addEventListener("click", () => keep(null));
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") keep(null);
    else if (event.key === "ArrowRight") step(1);
    else if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "Enter" && document.activeElement.matches("main .m")) document.activeElement.click();
  });
})();
