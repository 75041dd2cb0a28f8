"use strict";
const box = document.getElementById("filter");
const rows = Array.from(document.querySelectorAll("table.filtered tbody tr"));
const texts = rows.map((row) => row.textContent.toLowerCase());
function apply() {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  rows.forEach((row, index) => {
    const fits = words.every((word) => texts[index].includes(word));
    row.hidden = !fits;
    shown += fits;
  });
  document.getElementById("matches").textContent = words.length ? shown + " rows" : "";
}
box.addEventListener("input", apply);
apply();
