import { METRICS_PATH } from "../../src/pages/paths.ts";

/** What Prometheus reads: each line's value by its name and labels, as they are written. */
export type Scrape = ReadonlyMap<string, number>;

export async function scrapeText(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}${METRICS_PATH}`, { keepalive: false });
  if (response.status !== 200) throw new Error(`scraping: ${response.status} ${await response.text()}`);
  return response.text();
}

export async function scrape(port: number): Promise<Scrape> {
  return parseScrape(await scrapeText(port));
}

export function parseScrape(text: string): Scrape {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}

/** @returns the sum of all series of a name, or of those that have all of these labels. */
export function sumOf(scraped: Scrape, name: string, ...labels: readonly string[]): number {
  let sum = 0;
  for (const [series, value] of scraped) {
    if (series !== name && !series.startsWith(`${name}{`)) continue;
    if (labels.every((label) => series.includes(label))) sum += value;
  }
  return sum;
}
