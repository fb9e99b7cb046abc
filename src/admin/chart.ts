import { ENGLISH, inUtc } from "../pages/language.ts";
import { type Html, plain } from "../pages/template.ts";

/** A series of the last day as an inline drawing: one bar for each point. Its colors are in `static/admin.css`. */

const figure = plain(
  `<figure class="chart"><figcaption>{{label}} <strong>{{figure}}</strong></figcaption>
<svg viewBox="0 0 {{width}} {{height}}" preserveAspectRatio="none" role="img" aria-label="{{description}}"><path d="{{path}}"/></svg>
<p class="axis" aria-hidden="true"><span>24 h ago</span><span>most {{most}}</span><span>now</span></p></figure>
`,
  ["label", "figure", "width", "height", "description", "path", "most"],
);

const HEIGHT = 40;
/** Of the width that a bar has. */
const BAR = 0.8;

export type Series = {
  readonly label: string;
  /** What stands beside it, such as a sum. */
  readonly figure: string;
  /** Oldest first: when it begins (milliseconds since the epoch), and how much; undefined where there is nothing to say. */
  readonly points: readonly (readonly [from: number, value: number | undefined])[];
};

export function chartOf({ label, figure: stated, points }: Series): Html {
  const [at, most] = points.reduce<readonly [number, number]>(
    (highest, [from, value = 0]) => (value > highest[1] ? [from, value] : highest),
    [0, 0],
  );
  const bars = points.map(([, value = 0], index) => {
    const height = most === 0 ? 0 : round((value / most) * HEIGHT);
    return height === 0 ? "" : `M${index} ${HEIGHT}v-${height}h${BAR}v${height}z`;
  });
  const shown = new Intl.NumberFormat("en", { maximumFractionDigits: 0 }).format(most);
  const when = most === 0 ? "none" : `most ${shown}, at ${inUtc(ENGLISH, at, "time")}`;
  return figure({
    ...{ label, figure: stated, most: shown },
    width: `${points.length}`,
    height: `${HEIGHT}`,
    description: `${label}: ${stated} in the last 24 hours; in a quarter of an hour ${when}`,
    path: bars.join(""),
  });
}

/** Something is never nothing. */
function round(height: number): number {
  return height === 0 ? 0 : Math.max(0.5, Math.round(height * 10) / 10);
}
