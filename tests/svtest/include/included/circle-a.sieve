require ["include", "variables"];
global "trail";
set "trail" "${trail} a";
include :once "circle-b";
