/** Bar charts as SVG files: one file a metric, one panel a case, one bar a subject, a whisker from the lowest to the highest round. */
import type { Row } from "./rows.js";

const WIDTH = 760;
const LABEL_WIDTH = 150;
const VALUE_WIDTH = 110;
const BAR_HEIGHT = 18;
const BAR_GAP = 6;
const PANEL_HEAD = 34;
const TITLE_HEIGHT = 44;

/** One chart of the rows of one metric, grouped by case. */
export function barChart(title: string, rows: readonly Row[]): string {
  const cases = [...new Set(rows.map((row) => row.case))];
  let y = TITLE_HEIGHT;
  const panels: string[] = [];
  for (const name of cases) {
    const bars = rows.filter((row) => row.case === name);
    panels.push(panel(name, bars, y));
    y += PANEL_HEAD + bars.length * (BAR_HEIGHT + BAR_GAP) + BAR_GAP;
  }
  const [first] = rows;
  const direction = first === undefined ? "" : ` (${first.unit}, ${first.better} is better)`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" font-family="system-ui, sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${y}" fill="#ffffff"/>`,
    `<text x="16" y="28" font-size="16" font-weight="600" fill="#1b1f24">${escapeXml(title + direction)}</text>`,
    ...panels,
    "</svg>",
    "",
  ].join("\n");
}

function panel(name: string, bars: readonly Row[], top: number): string {
  const most = Math.max(...bars.map((bar) => bar.max), Number.MIN_VALUE);
  const room = WIDTH - LABEL_WIDTH - VALUE_WIDTH - 16;
  const scale = (value: number): number => Math.max(1, (value / most) * room);
  const parts = [`<text x="16" y="${top + 22}" font-weight="600" fill="#1b1f24">${escapeXml(name)}</text>`];
  bars.forEach((bar, index) => {
    const y = top + PANEL_HEAD + index * (BAR_HEIGHT + BAR_GAP);
    const middle = y + BAR_HEIGHT / 2;
    const fill = bar.subject.startsWith("ringloom") ? "#0b6bcb" : "#8c959f";
    const low = LABEL_WIDTH + scale(bar.min);
    const high = LABEL_WIDTH + scale(bar.max);
    parts.push(
      `<text x="${LABEL_WIDTH - 8}" y="${middle + 4}" text-anchor="end" fill="#1b1f24">${escapeXml(bar.subject)}</text>`,
      `<rect x="${LABEL_WIDTH}" y="${y}" width="${scale(bar.median).toFixed(1)}" height="${BAR_HEIGHT}" rx="2" fill="${fill}"/>`,
      `<line x1="${low.toFixed(1)}" y1="${middle}" x2="${high.toFixed(1)}" y2="${middle}" stroke="#1b1f24" stroke-width="1.5"/>`,
      `<text x="${(high + 8).toFixed(1)}" y="${middle + 4}" fill="#57606a">${bar.median.toLocaleString("en")}</text>`,
    );
  });
  return parts.join("\n");
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
