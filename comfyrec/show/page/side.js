// Several recordings side by side: each in a frame of its own; what one shows, the others follow.

const frames = [...document.querySelectorAll("iframe")], linked = document.getElementById("linked");
const decoder = new TextDecoder();

for (const [number, frame] of frames.entries()) {
  const bytes = Uint8Array.from(atob(document.getElementById("f" + number).textContent), (letter) => letter.charCodeAt(0));
  frame.srcdoc = decoder.decode(bytes);
}

addEventListener("message", (event) => {
  const from = frames.findIndex((frame) => frame.contentWindow === event.source);
  if (from < 0 || typeof event.data?.comfyrec !== "object" || !linked.checked) return;
  for (const [number, frame] of frames.entries()) if (number !== from) frame.contentWindow.postMessage({ comfyrec: event.data.comfyrec }, "*");
});
