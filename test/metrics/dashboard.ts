/** What a Grafana dashboard asks Prometheus for: the expressions of all panels. @param text its JSON. */
export function expressionsOf(text: string): string[] {
  const { panels } = JSON.parse(text) as { panels: { targets?: { expr: string }[] }[] };
  return panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
}
