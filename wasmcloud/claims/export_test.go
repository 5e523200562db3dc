package claims

// Seal adds the checksum to the bytes of a key and encodes them.
var Seal = seal
