import { InvalidArgumentError } from 'commander'

/** A whole number of an option or argument; anything else is a usage error. */
export function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It is a whole number.')
  return Number(text)
}

/** The same for what there has to be one of at least. */
export function parsePositiveCount(text: string): number {
  const count = parseCount(text)
  if (count === 0) throw new InvalidArgumentError('It is 1 or more.')
  return count
}

/** Collects what a repeatable option was given. */
export function gather(text: string, before: string[] | undefined): string[] {
  return [...(before ?? []), text]
}
