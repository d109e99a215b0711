require ["include", "fileinto"];
include "needs-fileinto";
