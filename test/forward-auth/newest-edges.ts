import { skipBecause } from "../support/needs.ts";
import { describeAskingEdge } from "./asking-edge.ts";
import { configureCaddy, configureEnvoy, configureTraefik } from "./real-edges.ts";

/**
 * The edges that no Debian has, as `npm run test:edges` runs them, by hand: deploy/edges/README.md says how to get them, and what
 * this said last. Each is looked for on the path, or where its variable says.
 */

const EDGES = [
  {
    ...{ name: "current caddy", program: process.env.RUNEGATE_TEST_CADDY, configure: configureCaddy },
    withoutRunegate: 502,
  },
  {
    ...{ name: "traefik", program: process.env.RUNEGATE_TEST_TRAEFIK, configure: configureTraefik },
    withoutRunegate: 500,
  },
  {
    ...{ name: "envoy", program: process.env.RUNEGATE_TEST_ENVOY, configure: configureEnvoy },
    withoutRunegate: 403,
    // It adds to what came, and says an address of the machine for one of the loopback.
    client: /(?:^|,)(?!203\.0\.113)[\d.]+$/,
  },
];

for (const edge of EDGES) {
  const program = edge.program ?? Bun.which(edge.name);
  if (program === null) skipBecause(`${edge.name} is not installed`);
  else describeAskingEdge(program, { ...edge, refused: 400 });
}
