// What a page of the course needs beside the theme's scripts.

(() => {
  "use strict";

  // Whatever scrolls sideways can be reached and scrolled from the keyboard.
  const WIDE = {
    "div.math, span.math": "Formula, scrolls sideways",
    ".cell_output .output": "Output, scrolls sideways",
    ".highlight pre": "Code, scrolls sideways",
    ".pst-scrollable-table-container": "Table, scrolls sideways",
  };

  function reach() {
    for (const [selector, name] of Object.entries(WIDE)) {
      for (const box of document.querySelectorAll(`.bd-article :is(${selector})`)) {
        const scrolls =
          box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX !== "visible";
        if (scrolls) {
          box.tabIndex = 0;
          box.setAttribute("role", box.matches("span") ? "group" : "region");
          box.setAttribute("aria-label", name);
        } else if (box.getAttribute("aria-label") === name) {
          for (const attribute of ["tabindex", "role", "aria-label"]) box.removeAttribute(attribute);
        }
      }
    }
  }

  let waiting = 0;
  function later() {
    clearTimeout(waiting);
    waiting = setTimeout(reach, 100);
  }

  // On paper nothing can be unfolded: print the solutions too (not the cells that set up Colab).
  let unfolded = [];
  addEventListener("beforeprint", () => {
    unfolded = [...document.querySelectorAll(".bd-article details:not([open], .hide)")];
    for (const details of unfolded) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of unfolded) details.open = false;
    unfolded = [];
  });

  addEventListener("resize", later);
  addEventListener("toggle", later, true); // a folded part that opens may hold wide formulas
  addEventListener("load", () => {
    reach();
    window.MathJax?.startup?.promise?.then(reach);
  });
})();
