export type Bar = {
  readonly name: string;
  readonly value: number;
  /** MiB, for the table beside it. */
  readonly memory: number;
  /** Whether it is the one to find at once. */
  readonly ours: boolean;
};

const WIDTH = 720;
const LEFT = 210;
const RIGHT = 64;
const ROW = 30;
const TOP = 44;

/**
 * Bars beside each other as an SVG that stands by itself, in light and in dark, and says the same to who does not see it.
 * @param title what is measured, with its unit.
 */
export function barChart(title: string, bars: readonly Bar[]): string {
  const height = TOP + bars.length * ROW + 12;
  const longest = Math.max(...bars.map(({ value }) => value));
  const said = bars.map(({ name, value }) => `${name} ${value.toFixed(0)}`).join(", ");
  const rows = bars.flatMap(({ name, value, ours }, index) => {
    const y = TOP + index * ROW;
    const width = Math.max(1, ((WIDTH - LEFT - RIGHT) * value) / longest);
    return [
      `  <text class="name" x="${LEFT - 10}" y="${y + 16}">${escapeXml(name)}</text>`,
      `  <rect class="${ours ? "ours" : "bar"}" x="${LEFT}" y="${y}" width="${width.toFixed(1)}" height="22" rx="3"/>`,
      `  <text x="${(LEFT + width + 8).toFixed(1)}" y="${y + 16}">${value.toFixed(0)}</text>`,
    ];
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeXml(`${title}: ${said}`)}">`,
    `  <style>`,
    `    text { font: 14px system-ui, sans-serif; fill: #24292f }`,
    `    .name { text-anchor: end } .title { font-weight: 600 } .bar { fill: #8c959f } .ours { fill: #1a7f5a }`,
    `    @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .bar { fill: #6e7681 } .ours { fill: #3fb98a } }`,
    `  </style>`,
    `  <text class="title" x="${LEFT}" y="24">${escapeXml(title)}</text>`,
    ...rows,
    `</svg>`,
    ``,
  ].join("\n");
}

function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
