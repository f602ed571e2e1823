// Validates resources of the Prometheus operator, read as a JSON list from standard input, with the models made from its
// definitions. Prints one line for each that is wrong. Fields that the definitions lack are not noticed: tests/chart/run
// looks at those.
import { readFileSync } from "node:fs";
import * as models from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";

for (const resource of JSON.parse(readFileSync(0, "utf8"))) {
  const Model = models[resource.kind];
  try {
    if (!Model) throw new Error("there is no model of it");
    new Model(resource).validate();
  } catch (error) {
    console.log(`${resource.kind} ${resource.metadata?.name}: ${error.message}`);
    process.exitCode = 1;
  }
}
