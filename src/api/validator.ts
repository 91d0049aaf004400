import type { FastifySchemaCompiler } from 'fastify'
import { safeParse, type ZodType } from 'zod'
import { HoldfastError } from '../errors/holdfast-error.ts'
import { issueSentence } from '../lib/issue-sentence.ts'

/** Checks a request against its zod schema; the first thing that is wrong is refused as ERR_ARGUMENT_INVALID. */
export const validatorCompiler: FastifySchemaCompiler<ZodType> =
  ({ schema, httpPart }) =>
  data => {
    const result = safeParse(schema, data, { error: issueSentence })
    if (result.success) return { value: result.data }
    const { path, message } = result.error.issues[0]!
    const where = path.length === 0 ? (httpPart ?? 'request') : path.join('.')
    return { error: new HoldfastError('ERR_ARGUMENT_INVALID', `${where}: ${message}`) }
  }
