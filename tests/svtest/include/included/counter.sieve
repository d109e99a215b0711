require ["include", "variables"];
global "trail";
set "n" "${n}x";
set "trail" "${trail} ${n}";
