/** In which order to try the hosts of a service (RFC 2782). */

/**
 * A host and port that a service is at.
 * @experimental
 */
export interface Service {
  readonly host: string;
  readonly port: number;
  /** Lower ones are tried first. */
  readonly priority: number;
  /** Among those of one priority, how often one is to come first in proportion to the others. */
  readonly weight: number;
}

/** By priority; those of one priority in an order drawn by their weights. `random` gives numbers from 0 up to 1. */
export function orderServices(services: readonly Service[], random: () => number): Service[] {
  const priorities = [...new Set(services.map(({ priority }) => priority))].sort((first, second) => first - second);
  return priorities.flatMap((priority) =>
    draw(
      services.filter((service) => service.priority === priority),
      random,
    ),
  );
}

function draw(services: Service[], random: () => number): Service[] {
  // Those of weight 0 first, so that they have a chance when the number drawn is 0, and nearly none else.
  const left = services.sort((first, second) => first.weight - second.weight);
  const drawn: Service[] = [];
  while (left.length > 0) {
    const total = left.reduce((sum, { weight }) => sum + weight, 0);
    const wanted = Math.floor(random() * (total + 1));
    let sum = 0;
    const at = left.findIndex(({ weight }) => (sum += weight) >= wanted);
    drawn.push(...left.splice(Math.max(0, at), 1));
  }
  return drawn;
}
