require ["include", "variables"];
global "trail";
set "trail" "${trail} b";
include :once "circle-a";
