import fastify from 'fastify'
import { expect, test } from 'vitest'
import { installTurns } from './turns.ts'

const REQUESTS = 20

test('a pass of the event loop begins one request, and each gets its turn', async () => {
  const app = fastify()
  installTurns(app)
  const passes: number[] = []
  app.get('/', async () => {
    passes.push(pass)
    return ''
  })
  await app.ready()
  let pass = 0
  let ticking = setImmediate(function tick() {
    pass++
    ticking = setImmediate(tick)
  })
  try {
    const replies = await Promise.all(Array.from({ length: REQUESTS }, () => app.inject('/')))
    expect(replies.map(({ statusCode }) => statusCode)).toEqual(Array(REQUESTS).fill(200))
    expect(new Set(passes).size).toBe(REQUESTS)
    expect((await app.inject('/')).statusCode).toBe(200)
  } finally {
    clearImmediate(ticking)
    await app.close()
  }
})
