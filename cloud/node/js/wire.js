'use strict';
// The socket to the server: frames of four bytes of length (big endian) and that many bytes of JSON, in both directions.
const net = require('net');

// open returns the functions that send a message; it throws when the message cannot be encoded or is larger than a frame may be.
exports.open = function open(fd, onMessage, onClose) {
  const socket = new net.Socket({ fd, readable: true, writable: true });
  let limit = Infinity;
  let held = Buffer.alloc(0);
  let parts = [];
  let size = 0;
  let need = 4;

  socket.on('data', chunk => {
    parts.push(chunk);
    size += chunk.length;
    if (held.length + size < need) {
      return;
    }
    held = held.length === 0 && parts.length === 1 ? parts[0] : Buffer.concat([held, ...parts]);
    parts = [];
    size = 0;
    let at = 0;
    for (;;) {
      need = 4;
      if (held.length - at < 4) {
        break;
      }
      const length = held.readUInt32BE(at);
      if (held.length - at - 4 < length) {
        need = 4 + length;
        break;
      }
      const text = held.toString('utf8', at + 4, at + 4 + length);
      at += 4 + length;
      onMessage(JSON.parse(text));
    }
    held = held.subarray(at);
  });
  socket.on('close', onClose);
  socket.on('error', () => {}); // 'close' follows

  const encode = message => {
    const text = JSON.stringify(message);
    const length = Buffer.byteLength(text);
    if (length > limit) {
      throw new RangeError(`${length} bytes are more than the ${limit} that fit into one message`);
    }
    const frame = Buffer.allocUnsafe(4 + length);
    frame.writeUInt32BE(length, 0);
    frame.write(text, 4);
    return frame;
  };
  return {
    send: message => void socket.write(encode(message)),
    limit: bytes => { limit = bytes; },
    end: () => socket.end(),
  };
};
