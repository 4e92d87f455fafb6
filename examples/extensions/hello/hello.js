const total = document.getElementById("total");
document.getElementById("count").addEventListener("click", () => {
  total.value = Number(total.value) + 1;
});
