require ["duplicate", "encoded-character"];
if duplicate :uniqueid "a${hex:00}b" { discard; }
