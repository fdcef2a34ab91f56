// The page works without this: it only saves one who must open it elsewhere the marking of its address.
document.querySelectorAll("button[data-copies]").forEach((button) => {
  const field = document.getElementById(button.dataset.copies);
  button.hidden = false;
  button.addEventListener("click", async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      document.execCommand("copy"); // old browsers inside messengers
    }
    button.textContent = button.dataset.done;
  });
});
