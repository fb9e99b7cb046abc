import { needs } from "../support/needs.ts";
import { describeAskingEdge } from "./asking-edge.ts";
import { configureCaddy, configureHaproxy, configureNginx } from "./real-edges.ts";

/** The edges of deploy/edges that Debian has. Those that take long to get are in `newest-edges.ts`. */

const EDGES = [
  // What is neither 2xx, 401 nor 403 becomes 500.
  { name: "nginx", configure: configureNginx, refused: 500, withoutRunegate: 500 },
  { name: "caddy", configure: configureCaddy, refused: 400, withoutRunegate: 502 },
  { name: "haproxy", configure: configureHaproxy, refused: 400, withoutRunegate: 503 },
];

for (const edge of EDGES) {
  const program = needs(edge.name);
  if (program !== undefined) describeAskingEdge(program, edge);
}
