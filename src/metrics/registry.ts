import type { Awaitable } from "../store/records.ts";

/**
 * What is counted and measured, by the names and labels of Prometheus. A label is of a few values that configuration or code
 * names: never a person, an address, a path or a key.
 */

/** One number that goes up. Kept by whoever counts often: adding to it costs nothing else. */
export type Cell = { value: number };

export type Counter = {
  /** @param labels the values, in the order of the names. */
  of(...labels: readonly string[]): Cell;
  add(n: number, ...labels: readonly string[]): void;
};

export type Observe = (seconds: number) => void;

export type Histogram = { of(...labels: readonly string[]): Observe };

/** A value, or one for each set of labels. */
export type Reading = number | readonly (readonly [labels: readonly string[], value: number])[];

/**
 * What is made of the readings of several processes. `main` is read in the main process alone: for what all of them would say
 * alike, such as what is in the store.
 */
export type Merge = "sum" | "max" | "min" | "main";

export type Registry = {
  /**
   * Asked for again by the same name, it is the same one: what was counted outlives a reload.
   * @param name ends in `_total`, but for a value that goes down too: of that, what ended processes had is forgotten.
   */
  counter(name: string, help: string, labels?: readonly string[]): Counter;
  /** @param bounds of its buckets in seconds, smallest first. */
  histogram(name: string, help: string, labels: readonly string[], bounds: readonly number[]): Histogram;
  /**
   * Read whenever somebody looks, and left out where that fails; one whose name ends in `_total` is a counter. Several may be read
   * under one name, each with labels of its own.
   */
  gauge(
    name: string,
    help: string,
    labels: readonly string[],
    read: () => Awaitable<Reading>,
    merge?: Merge,
  ): void;
  /** What was counted under a name so far. */
  counted(name: string): readonly Sample[];
  /** @param main whether this is the main process, or the only one. */
  snapshot(main: boolean): Promise<Family[]>;
  /** For a gateway that replaces another one: with what was counted, and without what the other one read. */
  next(): Registry;
};

/** Of a counter or gauge its value; of a histogram how many were in each bucket alone, in the last those above, and their sum. */
export type Sample = readonly [labels: readonly string[], numbers: readonly number[]];

/** Plain data, which processes send to each other. */
export type Family = {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  /** Of a histogram. */
  readonly bounds?: readonly number[];
  readonly merge: Merge;
  readonly samples: readonly Sample[];
};

type Counted = Omit<Family, "samples" | "merge"> & { readonly cells: Cells<unknown>; samples(): Sample[] };
type Gauge = Omit<Family, "samples"> & { readonly read: () => Awaitable<Reading> };

/** Whatever goes wrong, no name has more sets of labels than this: all others are one, `other`. */
const MOST_SERIES = 10_000;

/** @param inherited read by whatever registry comes after this one too. */
export function createRegistry(
  counted = new Map<string, Counted>(),
  inherited: readonly Gauge[] = [],
): Registry {
  const gauges = [...inherited];

  async function read({ read, ...gauge }: Gauge): Promise<Family> {
    try {
      const reading = await read();
      const all = typeof reading === "number" ? [[[], reading] as const] : reading;
      return { ...gauge, samples: all.map(([labels, value]) => [labels, [value]]) };
    } catch {
      return { ...gauge, samples: [] };
    }
  }

  return {
    counter(name, help, labels = []) {
      const cells = counted.getOrInsertComputed(name, () => {
        const cells = createCells(labels.length, (): Cell => ({ value: 0 }));
        const samples = () => cells.all.map(([values, { value }]): Sample => [values, [value]]);
        return { name, help, labels, cells, samples };
      }).cells as Cells<Cell>;
      return {
        of: cells.of,
        add(n, ...values) {
          cells.of(...values).value += n;
        },
      };
    },

    histogram(name, help, labels, bounds) {
      const cells = counted.getOrInsertComputed(name, () => {
        const cells = createCells(labels.length, () => createObserved(bounds));
        const samples = () => cells.all.map(([values, { numbers }]): Sample => [values, [...numbers]]);
        return { name, help, labels, bounds, cells, samples };
      }).cells as Cells<Observed>;
      return { of: (...values) => cells.of(...values).observe };
    },

    gauge(name, help, labels, read, merge = "sum") {
      gauges.push({ name, help, labels, read, merge });
    },

    counted: (name) => counted.get(name)?.samples() ?? [],

    async snapshot(main) {
      const here = gauges.filter(({ merge }) => main || merge !== "main");
      return [
        ...[...counted.values()].map(({ cells: _, samples, ...family }): Family => {
          return { ...family, merge: "sum", samples: samples() };
        }),
        ...(await Promise.all(here.map(read))),
      ];
    },

    next: () => createRegistry(counted, gauges),
  };
}

type Observed = { readonly numbers: number[]; readonly observe: Observe };

function createObserved(bounds: readonly number[]): Observed {
  const numbers = new Array<number>(bounds.length + 2).fill(0);
  const sum = bounds.length + 1;
  return {
    numbers,
    observe(seconds) {
      let bucket = 0;
      // Not a search: most are in one of the first.
      while (bucket < bounds.length && seconds > (bounds[bucket] ?? 0)) bucket++;
      numbers[bucket] = (numbers[bucket] ?? 0) + 1;
      numbers[sum] = (numbers[sum] ?? 0) + seconds;
    },
  };
}

type Cells<T> = {
  readonly all: readonly (readonly [labels: readonly string[], cell: T])[];
  of(...labels: readonly string[]): T;
};

/** One for each set of labels, found without a text being made of them. */
function createCells<T>(depth: number, make: () => T): Cells<T> {
  type Level = Map<string, Level | T>;
  const root: Level = new Map();
  const all: [readonly string[], T][] = [];

  function insert(labels: readonly string[]): T {
    let level = root;
    for (const label of labels.slice(0, -1)) {
      const next = level.getOrInsertComputed(label, () => new Map());
      level = next as Level;
    }
    const cell = make();
    level.set(labels.at(-1) ?? "", cell);
    all.push([labels, cell]);
    return cell;
  }

  function find(labels: readonly string[]): T | undefined {
    let found: Level | T | undefined = root;
    for (const label of labels) found = (found as Level | undefined)?.get(label);
    return found as T | undefined;
  }

  const whole = depth === 0 ? insert([]) : undefined;
  return {
    all,
    of(...labels) {
      if (whole !== undefined) return whole;
      if (labels.length !== depth) throw new Error(`${depth} labels, and not ${labels.length}`);
      const known = find(labels);
      if (known !== undefined) return known;
      if (all.length < MOST_SERIES) return insert(labels);
      const others = labels.map(() => "other");
      return find(others) ?? insert(others);
    },
  };
}
