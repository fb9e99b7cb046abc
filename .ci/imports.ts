import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

/**
 * Holds the layout of `src` (src/README.md): imports go down, types between rooms go anywhere, no files import each other in
 * a circle, and some things are said in one place only. Run by itself it checks `src`, or the folder that is its argument, and
 * prints what is wrong.
 */

const GROUND = ["clock", "exit", "late", "remembering", "version", "rights", "pages", "option", "net", "identity", "secret", "observe", "store", "yamux"];
/**
 * Values go down this list; a room may know the types of any other. A folder that is not named anywhere here is a room at the
 * end of it: it may use all others, and no other may use it.
 */
const ROOMS = ["api", "applications", "limits", "mail", "health", "session", "login", "proxy", "brand", "debug", "bearer"];
const ABOVE = [
  "challenge",
  "inline",
  "forward-auth",
  "door",
  "config",
  "house",
  "services",
  "server",
  "control",
  "sample",
  "process",
  "commands",
  "main",
];
const LISTED = [...GROUND, "edge", "access", ...ROOMS, ...ABOVE];

/** What may stand in the files of these places alone. */
const ONLY_IN: readonly { readonly what: string; readonly pattern: RegExp; readonly places: readonly string[] }[] = [
  { what: "the environment", pattern: /\b(?:process|Bun)\.env\b/, places: ["config/", "process/", "main.ts"] },
  { what: "a database", pattern: /"bun:sqlite"|\bRedisClient\b/, places: ["store/"] },
  {
    what: "forwarding headers",
    pattern: /headers(?:\.get\(|\.has\(|\[)["'](?:x-forwarded-|x-original-|forwarded|x-real-ip|via)/i,
    places: ["edge/client.ts", "edge/described.ts", "sample/"],
  },
  { what: "escapes of HTML", pattern: /&(?:amp|lt|quot|#)|\bescapeHTML\b/, places: ["pages/template.ts"] },
  { what: "the wall clock", pattern: /\bDate\.now\b|\bnew Date\(\)/, places: ["clock.ts", "sample/"] },
  { what: "a source of secrets", pattern: /\b(?:getRandomValues|randomBytes|randomUUID)\b/, places: ["clock.ts"] },
  { what: "the making of keys", pattern: /\bhkdf/i, places: ["secret/keys.ts"] },
  {
    what: "a request's body read whole",
    pattern: /\brequest\.(?:text|json|formData|arrayBuffer|bytes|blob)\(/,
    places: ["edge/body.ts", "sample/"],
  },
  { what: "the prefix of own paths", pattern: /"\/_runegate"|[/_]runegate\/login/, places: ["pages/paths.ts"] },
];
/** What may not stand in the files of a place. */
const NEVER_IN: readonly { readonly what: string; readonly pattern: RegExp; readonly place: string }[] = [
  { what: "HTTP", pattern: /\b(?:Request|Response|Headers|Elysia)\b/, place: "access/" },
];

/** Every file of a tree by its path, with its text. */
export type Tree = Readonly<Record<string, string>>;

/** @returns one line for each rule that a file breaks. */
export function findBreaches(tree: Tree): string[] {
  const folders = new Set(Object.keys(tree).flatMap((path) => (path.includes("/") ? placeOf(path) : [])));
  const rooms = [...ROOMS, ...[...folders].filter((folder) => !LISTED.includes(folder)).sort()];
  const layers = [...GROUND, "edge", "access", ...rooms, ...ABOVE];
  const layerOf = (path: string) => layers.indexOf(placeOf(path));
  const isRoom = (path: string) => rooms.includes(placeOf(path));

  const imports = new Map(Object.entries(tree).map(([path, text]) => [path, importsOf(path, text)]));
  const breaches = [...imports].flatMap(([from, found]) =>
    found.flatMap(({ to, isType }) => {
      const [above, below] = [layerOf(from), layerOf(to)];
      // What a room may use is a type of the house; what it is given is made above it.
      const known = isRoom(from) && isType && (isRoom(to) || placeOf(to) === "house");
      if (below <= above || known) return [];
      return [`${from} imports ${to}, which lies above it`];
    }),
  );
  for (const [path, text] of Object.entries(tree)) {
    if (layerOf(path) < 0) breaches.push(`${path}: belongs to no layer`);
    const code = text.replace(/\/\*[\s\S]*?\*\/|(^|\s)\/\/.*/g, "");
    for (const { what, pattern, places } of ONLY_IN) {
      if (pattern.test(code) && !places.some((place) => path.startsWith(place))) {
        breaches.push(`${path}: ${what} may stand in ${places.join(", ")} only`);
      }
    }
    for (const { what, pattern, place } of NEVER_IN) {
      if (path.startsWith(place) && pattern.test(code)) breaches.push(`${path}: knows of ${what}`);
    }
  }
  return [...breaches, ...findCircles(new Map([...imports].map(([from, all]) => [from, all.map(({ to }) => to)])))];
}

function importsOf(path: string, text: string): { readonly to: string; readonly isType: boolean }[] {
  const values = new Set(new Bun.Transpiler({ loader: "ts" }).scanImports(text).map((one) => one.path));
  const all = Array.from(text.matchAll(/(?:\bfrom\s+|\bimport\s*\(?\s*)"(\.[^"]+\.ts)"/g), ([, target = ""]) => target);
  return [...new Set(all)].map((target) => ({
    to: normalize(join(dirname(path), target)),
    isType: !values.has(target),
  }));
}

function placeOf(path: string): string {
  return path.split("/", 1)[0]?.replace(/(\.d)?\.ts$/, "") ?? "";
}

/** Tarjan's algorithm: files that can reach each other. */
function findCircles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const number = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const circles: string[] = [];
  function visit(file: string): void {
    number.set(file, number.size);
    low.set(file, number.size - 1);
    stack.push(file);
    for (const next of graph.get(file) ?? []) {
      if (!number.has(next)) visit(next);
      if (stack.includes(next)) low.set(file, Math.min(low.get(file) ?? 0, low.get(next) ?? 0));
    }
    if (low.get(file) !== number.get(file)) return;
    const circle = stack.splice(stack.indexOf(file));
    if (circle.length > 1 || graph.get(file)?.includes(file)) circles.push(`a circle: ${circle.sort().join(", ")}`);
  }
  for (const file of graph.keys()) if (!number.has(file)) visit(file);
  return circles;
}

/** The files of a folder, as {@link findBreaches} takes them. */
export function readTree(folder: string): Tree {
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"));
  return Object.fromEntries(paths.map((path) => [path, readFileSync(join(folder, path), "utf8")]));
}

if (import.meta.main) {
  const breaches = findBreaches(readTree(process.argv[2] ?? join(import.meta.dir, "../src")));
  for (const breach of breaches) console.error(breach);
  console.log(breaches.length === 0 ? "The layout of src holds." : `${breaches.length} breaches of the layout of src.`);
  process.exit(breaches.length === 0 ? 0 : 1);
}
