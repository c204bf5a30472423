// The theme, and a cursor that shows the values at a time; all else stands on the page without it.
"use strict";
{
  const data = JSON.parse(document.getElementById("data").textContent);
  const by = (id) => document.getElementById(id);
  const [slider, plot, cursor, here, spread] = ["cursor-time", "plot", "cursor", "here", "spread"].map(by);
  const { middle, half } = by("plane").dataset;

  const theme = by("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  const dress = () => {
    const name = chosen ?? (dark.matches ? "dark" : "light");
    document.documentElement.dataset.theme = name;
    theme.setAttribute("aria-checked", String(name === "dark"));
  };
  theme.addEventListener("click", () => {
    chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    dress();
  });
  dark.addEventListener("change", dress);
  dress();

  function clock(seconds) {
    const whole = Math.floor(seconds + 1e-6);
    const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    const two = (number) => String(number).padStart(2, "0");
    return hours ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
  }

  function signed(hundredths) {
    return `${hundredths < 0 ? "−" : "+"}${(Math.abs(hundredths) / 100).toFixed(2)}`;
  }

  function moodWord(valence, arousal) {
    const { neutral, neutral_radius, strong_radius, octants } = data.circle;
    const radius = Math.hypot(valence, arousal) / 100;
    if (radius < neutral_radius) return neutral;
    const eighth = Math.round(Math.atan2(arousal, valence) / (2 * Math.PI) * octants.length);
    const [, mild, strong] = octants[(eighth + octants.length) % octants.length];
    return radius >= strong_radius ? strong : mild;
  }

  function value(column, at) {
    const std = data[`${column}_std`][at];
    return std === null ? signed(data[column][at]) : `${signed(data[column][at])} ± ${(std / 100).toFixed(2)}`;
  }

  function show(at) {
    const time = at * data.step;
    const [valence, arousal] = [data.valence[at], data.arousal[at]];
    const heard = valence !== null;
    const warming = data.warming.some(([begin, end]) => begin <= at && at < end);
    const section = data.sections.findLastIndex((start) => start <= time + 1e-3) + 1;
    const word = heard ? moodWord(valence, arousal) + (warming ? ", warming up" : "") : "silence";
    const level = data.loudness[at] < -100 ? "silent" : `${data.loudness[at]} dB`.replace("-", "−");
    const texts = {
      at: clock(time), word, valence: heard ? value("valence", at) : "–", arousal: heard ? value("arousal", at) : "–",
      loudness: level, number: `section ${section}`,
    };
    for (const [id, text] of Object.entries(texts)) by(id).textContent = text;
    const spoken = heard ? `valence ${texts.valence}, arousal ${texts.arousal}` : "no estimate";
    slider.setAttribute("aria-valuetext", `${texts.at}: ${word}, ${spoken}, ${level}, section ${section}`);
    cursor.style.left = `${Math.min(1, (time + data.step / 2) / data.duration) * 100}%`;
    mark(heard, valence, arousal, data.valence_std[at], data.arousal_std[at]);
  }

  function mark(heard, valence, arousal, valenceStd, arousalStd) {
    here.toggleAttribute("hidden", !heard);
    spread.toggleAttribute("hidden", !heard || valenceStd === null || arousalStd === null);
    if (!heard) return;
    for (const shape of [here, spread]) {
      shape.setAttribute("cx", Number(middle) + valence / 100 * half);
      shape.setAttribute("cy", Number(middle) - arousal / 100 * half);
    }
    spread.setAttribute("rx", valenceStd / 100 * half);
    spread.setAttribute("ry", arousalStd / 100 * half);
  }

  function go(time) {
    slider.value = Math.floor(time / data.step + 1e-6);
    show(Number(slider.value));
  }

  slider.addEventListener("input", () => show(Number(slider.value)));
  const point = (event) => {
    const { left, width } = plot.getBoundingClientRect();
    go(Math.max(0, Math.min(1, (event.clientX - left) / width)) * data.duration);
  };
  plot.addEventListener("pointermove", point);
  plot.addEventListener("pointerdown", point);
  for (const button of document.querySelectorAll("button[data-time]")) {
    button.disabled = false;
    button.addEventListener("click", () => {
      go(Number(button.dataset.time));
      by("time").scrollIntoView({ behavior: "smooth", block: "nearest" });
      slider.focus({ preventScroll: true });
    });
  }
  for (const element of [theme, by("readout"), cursor, slider]) element.hidden = false;
  show(0);
}
