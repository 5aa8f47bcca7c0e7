// Pairs of texts that lie on each other, measured: the boxes of all text nodes that are shown, in the first screens of the page.
const boxes = [];
const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  const text = walker.currentNode.textContent.trim();
  if (!text || !shown(element) || element.closest("svg, title, .hidden, thead, .claim-head, option")) continue;
  if (element.closest(".scroll") && !element.closest(".claims")) continue; // tables lay themselves out
  const range = document.createRange();
  range.selectNodeContents(walker.currentNode);
  const frame = element.closest(".scroll")?.getBoundingClientRect(); // what is scrolled away lies on nothing
  for (const box of range.getClientRects()) {
    const [top, bottom] = frame ? [Math.max(box.top, frame.top), Math.min(box.bottom, frame.bottom)] : [box.top, box.bottom];
    const [left, right] = frame ? [Math.max(box.left, frame.left), Math.min(box.right, frame.right)] : [box.left, box.right];
    if (top < bottom && left < right) boxes.push([{ top, bottom, left, right, height: bottom - top }, text.slice(0, 40)]);
  }
}
boxes.sort((a, b) => a[0].top - b[0].top);
const found = [];
boxes.forEach(([a, one], place) => {
  for (let next = place + 1; next < boxes.length && boxes[next][0].top < a.bottom; next++) {
    const [b, other] = boxes[next];
    const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (wide > 1 && high > 0.35 * Math.min(a.height, b.height)) found.push([one, other]);
  }
});
return found.slice(0, 8);
