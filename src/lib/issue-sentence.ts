import type { z } from 'zod'

/**
 * Says what is wrong with a value in our words, for the end of a sentence that names it. Undefined leaves it to zod,
 * whose words are for programmers.
 */
export function issueSentence(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? 'is missing' : `must be ${nameOf(issue.expected)}${not(issue.input)}`
    case 'too_small':
      return `must ${measure(issue.origin)} at least ${issue.minimum}${unit(issue.origin)}${not(issue.input)}`
    case 'too_big':
      return `must ${measure(issue.origin)} at most ${issue.maximum}${unit(issue.origin)}${not(issue.input)}`
    case 'invalid_value':
      return `must be ${issue.values.length > 2 ? 'one of ' : ''}${issue.values.join(issue.values.length > 2 ? ', ' : ' or ')}${not(issue.input)}`
    case 'unrecognized_keys':
      return `there is no property '${issue.keys[0]}'`
    default:
      return undefined
  }
}

const NAMES: Readonly<Record<string, string>> = {
  array: 'a list',
  boolean: 'true or false',
  int: 'a whole number',
  number: 'a number',
  object: 'an object',
  record: 'an object',
  string: 'text',
}

function nameOf(type: string): string {
  return NAMES[type] ?? type
}

function measure(origin: string): string {
  return unit(origin) === '' ? 'be' : 'have'
}

function unit(origin: string): string {
  if (origin === 'string') return ' characters'
  return origin === 'array' ? ' entries' : ''
}

/** What was given instead, where it is short enough to help. */
function not(input: unknown): string {
  if (typeof input === 'string') return input.length > 64 ? '' : `, not '${input}'`
  return typeof input === 'number' && !Number.isNaN(input) ? `, not ${input}` : ''
}
