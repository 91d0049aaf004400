import { expect, test } from 'vitest'
import { Arrival, CommandWindow } from './command-window.ts'

const HEADER = Buffer.alloc(48)
const NO_DATA = Buffer.alloc(0)

function hold(window: CommandWindow, cmdSn: number): boolean {
  return window.hold(cmdSn, HEADER, 0, NO_DATA, 0, 0)
}

test('window: the next number is delivered, the past is ignored, the future waits', () => {
  const window = new CommandWindow(10, 4)
  expect(window.arrival(10)).toBe(Arrival.next)
  expect(window.arrival(9)).toBe(Arrival.outside)
  expect(window.arrival(11)).toBe(Arrival.early)
  expect(window.arrival(13)).toBe(Arrival.early)
  expect(window.arrival(14)).toBe(Arrival.outside)
})

test('window: numbers wrap around', () => {
  const window = new CommandWindow(0xffffffff, 4)
  expect(window.maxCmdSn).toBe(2)
  expect(window.arrival(0)).toBe(Arrival.early)
  window.advance()
  expect(window.expCmdSn).toBe(0)
})

test('window: MaxCmdSN stands still while tasks run and moves on when they end', () => {
  const window = new CommandWindow(1, 2)
  expect(window.maxCmdSn).toBe(2)
  for (let i = 0; i < 2; i++) {
    window.advance()
    window.taskBegun()
    expect(window.maxCmdSn).toBe(2)
  }
  expect(window.arrival(3)).toBe(Arrival.outside)
  window.taskEnded()
  expect(window.maxCmdSn).toBe(3)
  expect(window.arrival(3)).toBe(Arrival.next)
})

test('window: what came early is delivered in order once the hole is filled, and only once', () => {
  const window = new CommandWindow(1, 8)
  hold(window, 3)
  hold(window, 2)
  expect(window.arrival(3)).toBe(Arrival.outside)
  expect(window.takeHeld()).toBe(null)
  window.advance()
  expect(window.takeHeld()).not.toBe(null)
  window.advance()
  expect(window.takeHeld()).not.toBe(null)
  window.advance()
  expect(window.takeHeld()).toBe(null)
  expect(window.expCmdSn).toBe(4)
})

test('window: a plugged number counts as received', () => {
  const window = new CommandWindow(1, 8)
  hold(window, 2)
  expect(window.plug(1)).toBe(true)
  expect(window.plug(100)).toBe(false)
  expect(window.takeHeld()).not.toBe(null)
  expect(window.expCmdSn).toBe(2)
})

test('window: commands behind a hole are held up to a number of bytes', () => {
  const window = new CommandWindow(1, 128)
  const data = Buffer.alloc(512 * 1024)
  expect(window.hold(2, HEADER, 0, data, 0, data.length)).toBe(true)
  expect(window.hold(3, HEADER, 0, data, 0, data.length)).toBe(false)
})
