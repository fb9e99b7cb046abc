import type { House } from "../house.ts";

/** By application, of each of its targets whether it is up, as far as this process knows. */
export type TargetsUp = ReadonlyMap<string, readonly boolean[]>;

export async function targetsUp({ metrics }: Pick<House, "metrics">): Promise<TargetsUp> {
  const { families } = await metrics.measures(false);
  const samples = families.find(({ name }) => name === "runegate_upstream_up")?.samples ?? [];
  const byRoute = Map.groupBy(samples, ([[route = ""]]) => route);
  return new Map(Array.from(byRoute, ([route, all]) => [route, all.map(([, [up]]) => up === 1)]));
}
